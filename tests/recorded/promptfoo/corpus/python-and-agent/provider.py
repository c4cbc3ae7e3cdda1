def call_api(prompt, options, context):
    return {"output": prompt.upper(), "tokenUsage": {"prompt": 3, "completion": 4}}

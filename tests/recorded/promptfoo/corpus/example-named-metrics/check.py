def get_assert(output, context):
    return {"pass": "banana" in output, "score": 1.0, "reason": "looked"}

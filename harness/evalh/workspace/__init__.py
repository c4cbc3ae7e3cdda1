"""Files and git in, core values out."""

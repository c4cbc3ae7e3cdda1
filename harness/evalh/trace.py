"""Record what a program's model calls did: `evalh_trace` under the name that users know.

The package stands alone, so that a service can install it without evalh.
"""

from evalh_trace import Span, call, client, configure, context, feedback, flush, step, workflow

__all__ = ["Span", "call", "client", "configure", "context", "feedback", "flush", "step", "workflow"]

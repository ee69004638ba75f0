"""How long a busy machine takes to draw an example is no fault of the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("npformer", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("npformer")

"""How hypothesis runs here: a processor that is busy with something else is no failure of what is tested."""

from hypothesis import HealthCheck, settings

settings.register_profile("any-processor", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-processor")

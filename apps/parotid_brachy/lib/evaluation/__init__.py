"""How well label maps agree: metrics, statistics, reports."""

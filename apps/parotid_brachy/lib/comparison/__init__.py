"""The comparison of methods: trained on the same cases, tried on the same others."""

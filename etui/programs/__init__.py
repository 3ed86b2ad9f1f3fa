"""Read program files (``.pte``, ``.pt2``) without running them; the content is not trusted."""

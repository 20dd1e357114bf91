"""The OpenAPI document: what the routes say of themselves, completed with what Litestar omits."""

"""The API client, wallets and the command `gridtokenx`, for members, integrators and auditors.

from gridtokenx_client.api import Api
with Api("http://127.0.0.1:8080") as api:
    print(api.health().community)
"""

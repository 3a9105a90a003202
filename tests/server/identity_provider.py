"""A small OpenID Connect provider on this machine, and tokens as it or others would sign them."""

import base64
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "parotid"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
CURVE_KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(key, kid, **more):
    """A public key as key sets have it."""
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    algorithm = jwt.algorithms.RSAAlgorithm if is_rsa else jwt.algorithms.ECAlgorithm
    return json.loads(algorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"} | more


def public_pem(key=KEY):
    """The public key as text, which an attacker may take for a shared secret."""
    kinds = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(*kinds)


class IdentityProvider:
    """What the provider answers, and how often it was asked for its keys."""

    def __init__(self):
        self.issuer = ""
        self.keys = [jwk(KEY, "one"), jwk(CURVE_KEY, "curve")]
        self.discovery = {}
        self.asked = []
        self.passwords = {"ana": "her password"}

    def claims(self, *roles, **changes):
        """Claims of a token for a reader with these roles; None takes a claim away."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 300,
            "sub": "8f2c",
            "preferred_username": "ana",
            "realm_access": {"roles": list(roles)},
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *roles, key=KEY, kid="one", algorithm="RS256", **changes):
        """A token for a reader with these roles."""
        headers = {"kid": kid} if kid is not None else {}
        return jwt.encode(self.claims(*roles, **changes), key, algorithm, headers)

    def unsigned(self, *roles):
        """The same with ``alg: none``, as no library signs it."""
        parts = {"alg": "none", "typ": "JWT", "kid": "one"}, self.claims(*roles)
        return ".".join([*(_encoded(json.dumps(part).encode()) for part in parts), ""])

    def signed_with_public_key(self, *roles):
        """The same with HS256, the public key being the secret; libraries refuse to make it."""
        import hashlib
        import hmac

        parts = {"alg": "HS256", "typ": "JWT", "kid": "one"}, self.claims(*roles)
        text = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        signature = hmac.digest(public_pem(), text.encode(), hashlib.sha256)
        return f"{text}.{_encoded(signature)}"


def _encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@contextmanager
def identity_provider():
    """A provider that listens on this machine."""
    provider = IdentityProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            provider.asked.append(self.path)
            if self.path == "/realm/.well-known/openid-configuration":
                self.answer(
                    {
                        "issuer": provider.issuer,
                        "jwks_uri": f"{provider.issuer}/keys",
                        "token_endpoint": f"{provider.issuer}/token",
                    }
                    | provider.discovery
                )
            elif self.path == "/realm/keys":
                self.answer({"keys": provider.keys})
            else:
                self.answer({}, 404)

        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            name, password = form["username"][0], form["password"][0]
            if provider.passwords.get(name) == password:
                token = provider.token("reviewer", preferred_username=name)
                self.answer({"access_token": token, "token_type": "Bearer", "id_token": "x"})
            else:
                self.answer({"error": "invalid_grant"}, 401)

        def answer(self, document, status=200):
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_port}/realm"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

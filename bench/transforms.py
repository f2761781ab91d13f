# SPDX-License-Identifier: BSD-3-Clause
"""The transforms that are measured, and how each program names them. Keys are fixed: nothing here is secret."""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "unittests" / "system"))

from esp_ref import Esp  # noqa: E402

KEY = bytes(range(1, 65))
AUTH_KEY = bytes(range(101, 165))


@dataclass(frozen=True)
class Transform:
    name: str
    form: str  # of esp_ref.Esp
    key_len: int  # with the salt
    encryption: str  # in router.yaml
    secgw: str  # in ipsec-secgw's configuration, before the key
    device: str  # the crypto driver that serves it best
    integrity: str = ""  # in router.yaml, and of esp_ref
    secgw_auth: str = ""
    auth_len: int = 0

    @property
    def key(self):
        return KEY[:self.key_len]

    @property
    def auth_key(self):
        return AUTH_KEY[:self.auth_len]

    def esp(self, spi, esn=False):
        """An independent implementation of one SA, to seal what comes in."""
        if self.integrity:
            return Esp(spi, self.form, self.key, integrity=self.integrity, integrity_key=self.auth_key, esn=esn)
        return Esp(spi, self.form, self.key, icv_len=16, esn=esn)

    def sa(self, **more):
        """The SA's algorithms in router.yaml."""
        sa = {"encryption": self.encryption, **more}
        if self.key_len:
            sa["key"] = self.key.hex()
        if self.integrity:
            sa |= {"integrity": self.integrity, "integrity-key": self.auth_key.hex()}
        return sa

    def secgw_sa(self):
        """The SA's algorithms in ipsec-secgw's file."""
        line = self.secgw
        if self.key_len:
            line += " " + self.key.hex(":")
        if self.integrity:
            line += f" auth_algo {self.secgw_auth} auth_key {self.auth_key.hex(':')}"
        return line


TRANSFORMS = {t.name: t for t in (
    Transform("aes128-gcm", "gcm", 20, "aes128gcm16", "aead_algo aes-128-gcm aead_key", "crypto_aesni_gcm"),
    Transform("aes256-gcm", "gcm", 36, "aes256gcm16", "aead_algo aes-256-gcm aead_key", "crypto_aesni_gcm"),
    Transform("chacha20-poly1305", "chacha", 36, "chacha20poly1305", "aead_algo chacha20-poly1305 aead_key",
              "crypto_aesni_mb"),
    Transform("aes128-cbc+sha1", "cbc", 16, "aes128", "cipher_algo aes-128-cbc cipher_key", "crypto_aesni_mb",
              "sha1", "sha1-hmac", 20),
    Transform("aes256-cbc+sha256", "cbc", 32, "aes256", "cipher_algo aes-256-cbc cipher_key", "crypto_aesni_mb",
              "sha256", "sha256-hmac", 32),
    Transform("null+sha1", "null", 0, "null", "cipher_algo null", "crypto_aesni_mb", "sha1", "sha1-hmac", 20),
)}

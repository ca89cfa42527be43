"""Writes and reads VRRP with scapy and Python's hmac: for each line of JSON that comes in, one goes out."""

import hashlib
import hmac
import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import IP  # noqa: E402
from scapy.layers.inet6 import IPv6, in6_chksum  # noqa: E402
from scapy.layers.vrrp import VRRP, VRRPv3  # noqa: E402
from scapy.packet import Raw  # noqa: E402
from scapy.utils import checksum  # noqa: E402


def datagram(case, destination):
    if ":" in case["source"]:
        return IPv6(src=case["source"], dst=destination, hlim=255, nh=112)
    return IP(src=case["source"], dst=destination, ttl=255, proto=112)


def with_checksum(message, value):
    return message[:6] + value.to_bytes(2, "big") + message[8:]


def write(case):
    old = case["form"] == "OldUnicast" and case["version"] == 3 and ":" not in case["source"]
    ip = datagram(case, "224.0.0.18" if old else case["destination"])
    fields = {name: case[name] for name in ("version", "vrid", "priority", "adv")}
    fields["addrlist"] = case["addresses"]
    if case["version"] == 2:
        packet = ip / VRRP(authtype=case["authtype"], auth1=case["auth1"], auth2=case["auth2"], **fields)
    else:
        packet = ip / VRRPv3(**fields)
    message = bytes(packet)[len(bytes(ip)):]
    # scapy knows only the pseudo-header in version 3.
    if case["form"] == "Message" and case["version"] == 3 and isinstance(ip, IP):
        message = with_checksum(message, checksum(with_checksum(message, 0)))
    if case["key"] is not None:
        message += trailer(case, ip, message)
        # To scapy a message ends with its addresses.
        if isinstance(ip, IPv6):
            message = with_checksum(message, in6_chksum(112, ip, with_checksum(message, 0)))
    return message


def trailer(case, ip, message):
    family = 6 if isinstance(ip, IPv6) else 4
    source = bytes(ip)[8:24] if family == 6 else bytes(ip)[12:16] + bytes(12)
    signed = bytes([1, case["key"], 0, 0]) + case["sequence"].to_bytes(8, "big")
    covered = bytes([family, case["version"], case["vrid"], 0]) + source
    covered += with_checksum(message, 0) + signed + bytes(16)
    return signed + hmac.new(bytes.fromhex(case["secret"]), covered, hashlib.sha256).digest()[:16]


def read(case):
    packet = datagram(case, case["destination"]) / Raw(bytes.fromhex(case["message"]))
    layer = type(packet)(bytes(packet)).payload
    names = ["version", "type", "vrid", "priority", "ipcount", "adv", "addrlist"]
    names += ["authtype", "auth1", "auth2"] if isinstance(layer, VRRP) else ["res"]
    return {name: getattr(layer, name) for name in names} | {"rest": bytes(layer.payload).hex()}


print("ready", flush=True)
for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps({"message": write(case).hex(), "read": read(case)}), flush=True)

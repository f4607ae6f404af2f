"""Services that sign their segments (TCP MD5) cannot be reached through the knock: probe and doctor name it as the cause."""

import pytest

from harness.daemons import start_server
from harness.firewall import firewall
from harness.knock import WITHOUT_FILTER, counters, equip, protect
from harness.probing import probe
from harness.signing import signing_client, signing_service
from harness.topologies import Network
from test_doctor import Diagnosis

BGP = 179
SIGNED = "signed-segments"


@pytest.mark.parametrize("family", (4, 6))
def test_the_probe_names_it(direct: Network, key_file: str, family: int) -> None:
    client, server = direct.client, direct.server
    signing_service(server, client.address(family), "0.0.0.0" if family == 4 else "::", BGP)
    # Without the knock it works.
    with signing_client(client, server.address(family), BGP) as alone:
        alone.wait_for_line("^hello$")
    daemon = protect(server, key_file, (BGP,))
    equip(client, key_file, (BGP,))
    result = probe(client, key_file, server.address(family), "--timeout", 1, port=BGP)
    assert result.failed_stage == "SYN/ACK came" and SIGNED in result.causes
    assert "of keys, this host has none for it" in result.reason(SIGNED)["evidence"]
    assert counters(daemon)["syn-accepted"] >= 1, "the knock itself is right"
    # With a program that has the key on this host, it is the first of the reasons.
    with signing_client(client, server.address(family), BGP) as speaker:
        result = probe(client, key_file, server.address(family), "--timeout", 1, port=BGP)
        assert result.causes[0] == SIGNED
        assert "a program of this host has a key" in result.reason(SIGNED)["evidence"]
        assert "hello" not in speaker.output


def test_what_probe_and_doctor_say_helps(direct: Network, key_file: str) -> None:
    client, server = direct.client, direct.server
    signing_service(server, client.ipv4, port=BGP)
    daemon = protect(server, key_file, (BGP,))
    (finding,) = [f for f in Diagnosis(server).of("service") if f["severity"] == "error"]
    assert f"port {BGP} signs its segments (TCP MD5)" in finding["found"] and client.ipv4 in finding["found"]
    assert "secret" not in str(Diagnosis(server).report)
    exempt = finding["cure"].split('exempt = ["')[1].split('"]')[0]
    knocker = equip(client, key_file, (BGP,))
    advice = probe(client, key_file, server.ipv4, "--timeout", 1, port=BGP).reason(SIGNED)["advice"]
    assert f'exempt = ["{exempt}"]' in advice
    assert "leave the server out of the client's targets" in advice
    knocker.stop()
    daemon.stop()
    flags = ["--target-port", str(BGP), "--exempt", exempt, *WITHOUT_FILTER]
    start_server(server, key_file, more=flags)
    firewall(server, "server", "up", *flags)
    assert Diagnosis(server).troubles == []
    with signing_client(client, server.ipv4, BGP) as speaker:
        speaker.wait_for_line("^hello$")


def test_a_service_that_signs_nothing(direct: Network, key_file: str) -> None:
    """Keys for others, or of a port that is not protected, are nobody's trouble."""
    signing_service(direct.server, direct.client.ipv4, port=BGP)
    protect(direct.server, key_file)
    assert [f for f in Diagnosis(direct.server).of("service") if "signs" in f["found"]] == []
    signing_service(direct.client, "10.81.1.99", port=22)
    equip(direct.client, key_file)
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1)
    assert result.causes[0] != SIGNED

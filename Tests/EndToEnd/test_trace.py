"""`tcpknock trace` explains captures of real handshakes, from either host."""

import json
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest

from harness.capture import Capture
from harness.daemons import keygen, program
from harness.echo import echo, echo_server
from harness.inside import gets_in
from harness.knock import FAMILIES, MODES, WRONG, equip, keep_kernel_quiet, nat_addresses, peer, protect, put_rules
from harness.probing import clock_ahead
from harness.topologies import Network
from harness.waiting import eventually


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [program("tcpknock"), "trace", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def trace(path: object, key_file: str, *flags: object) -> List[Dict[str, Any]]:
    """The handshakes in a capture file."""
    result = run("--json", "--key-file", key_file, *flags, path)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["handshakes"]


def wait_for_verdict(capture: Capture, key_file: str, verdict: str, *flags: object) -> Dict[str, Any]:
    """The first handshake with this verdict, once it is in the file."""

    def find() -> Any:
        return next((one for one in trace(capture.path, key_file, *flags) if one["verdict"] == verdict), None)

    return eventually(find, 10, f"a handshake with the verdict {verdict}")


def recorded(network: Network, key_file: str, folder: Path) -> str:
    """A capture, at the client, of a connection that works."""
    protect(network.server, key_file)
    equip(network.client, key_file)
    echo_server(network.server, 22)
    with Capture(network.client, folder) as capture:
        assert echo(network.client, network.server.ipv4, 22).complete == 1
        wait_for_verdict(capture, key_file, "works")
    return capture.path


# --- a handshake that works, seen from everywhere -------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mask", MODES)
@pytest.mark.parametrize("side", ("client", "server", "client, any interface"))
def test_a_handshake_that_works(
    direct: Network, key_file: str, tmp_path: Path, family: int, mask: str, side: str
) -> None:
    protect(direct.server, key_file)
    equip(direct.client, key_file, isn_mask=mask)
    echo_server(direct.server, 22)
    host = direct.server if side == "server" else direct.client
    with Capture(host, tmp_path, interface="any" if "any" in side else "eth0") as capture:
        assert echo(direct.client, direct.server.address(family), 22).complete == 1
        found = wait_for_verdict(capture, key_file, "works")
    assert (found["client"], found["server"]) == (direct.client.address(family), direct.server.address(family))
    assert (found["syn"]["finding"], found["syn"]["mask"], found["syn"]["minutes_off"]) == ("right-code", mask, 0)
    assert (found["syn"]["bound_to"], found["syn"]["hint"]) == ("source", "right")
    assert found["syn"]["key"] == key_file
    assert (found["syn_ack"]["finding"], found["syn_ack"]["mask"]) == ("proven", mask)
    assert found["syn_ack"]["true_isn"] != found["syn_ack"]["isn"]
    assert found["third_ack"]["acknowledges"] == "true-isn"
    after = found["after"]
    assert after["client"]["bytes"] >= 1 and after["server"]["bytes"] >= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_through_a_nat(natted: Network, key_file: str, tmp_path: Path, family: int) -> None:
    protect(natted.server, key_file)
    equip(natted.client, key_file, nat_ips=nat_addresses(natted))
    echo_server(natted.server, 22)
    with Capture(natted.client, tmp_path) as at_client, Capture(natted.server, tmp_path) as at_server:
        assert echo(natted.client, natted.server.address(family), 22).complete == 1
        # The server sees the address that the code is bound to; the client has to be told.
        assert wait_for_verdict(at_server, key_file, "works")["syn"]["bound_to"] == "source"
        told = wait_for_verdict(at_client, key_file, "works", "--client-address", natted.seen_as(family))
        assert told["syn"]["bound_to"] == "given"
        untold = trace(at_client.path, key_file)[0]
        assert untold["syn"]["finding"] == "unknown-code"


def test_for_people(direct: Network, key_file: str, tmp_path: Path) -> None:
    protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22, 80)
    with Capture(direct.client, tmp_path) as capture:
        assert echo(direct.client, direct.server.ipv4, 80).complete == 1
        assert echo(direct.client, direct.server.ipv4, 22).complete == 1
        wait_for_verdict(capture, key_file, "works")
        capture.stop()
    text = run("--key-file", key_file, capture.path).stdout
    assert "SYN     no code" in text
    assert "ordinary: an ordinary connection without a knock" in text
    assert f"SYN     right code of key '{key_file}', full mask, of this minute, bound to the source address" in text
    assert "ACK     acknowledges the true ISN" in text
    assert "works: the knock works" in text
    assert "2 handshakes in " in text
    assert "1 handshakes in " in run("--key-file", key_file, "--target-port", 22, capture.path).stdout
    from_pipe = subprocess.run(
        [program("tcpknock"), "trace", "--key-file", key_file, "-"],
        input=Path(capture.path).read_bytes(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert from_pipe.stdout.decode() == text


@pytest.mark.parametrize("role", ("client", "server"))
def test_the_keys_of_the_daemons_configuration(direct: Network, key_file: str, tmp_path: Path, role: str) -> None:
    other = keygen(tmp_path / "other.dat")
    path = recorded(direct, key_file, tmp_path)
    config = tmp_path / f"{role}.toml"
    if role == "client":
        parts = [f'[[target]]\nhost = "192.0.2.{number}"\nkey_file = "{key}"\n' for number, key in enumerate((other, key_file))]
    else:
        parts = [f'[[guest]]\nname = "guest{number}"\nkey_file = "{key}"\n' for number, key in enumerate((other, key_file))]
    config.write_text("\n".join(parts))
    config.chmod(0o600)
    # In a mount namespace with an /etc of its own.
    script = 'mount -t tmpfs none /etc && mkdir /etc/tcpknock && cp -p "$1" /etc/tcpknock/ && shift && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(config), program("tcpknock"), "trace", "--json", path]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["handshakes"][0]["syn"]["key"] == key_file


# --- handshakes that fail -----------------------------------------------------------------------------------------


def test_another_key(direct: Network, key_file: str, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other.dat")
    protect(direct.server, key_file)
    equip(direct.client, other)
    with Capture(direct.server, tmp_path) as capture:
        assert not gets_in(direct.client, direct.server.ipv4)
        found = wait_for_verdict(capture, key_file, "unknown-code")
        assert found["syn"]["finding"] == "unknown-code"
        # Whoever holds both keys sees which it was.
        both = trace(capture.path, key_file, "--key-file", other)[0]
    assert (both["syn"]["key"], both["verdict"]) == (other, "unanswered")


@pytest.mark.parametrize("minutes", (10, -10))
def test_the_clock(direct: Network, key_file: str, tmp_path: Path, minutes: int) -> None:
    # The capture has the right time, and so has the server; the client is wrong.
    protect(direct.server, key_file)
    put_rules(direct.client, "client")
    with Capture(direct.server, tmp_path) as capture:
        start_client_with_clock(direct, key_file, minutes * 60)
        assert not gets_in(direct.client, direct.server.ipv4)
        wait_for_verdict(capture, key_file, "unknown-code")
        found = wait_for_verdict(capture, key_file, "clock", "--slots", 60)
    assert found["syn"]["minutes_off"] == minutes


def start_client_with_clock(network: Network, key_file: str, seconds: int) -> None:
    command = [program("tcpknock-client"), "--config", "", "--control-socket", "", "--key-file", key_file]
    daemon = network.client.popen(command, env=clock_ahead(seconds))
    daemon.wait_for_line("ready", 10, which="stdout")


def test_no_daemon(direct: Network, key_file: str, tmp_path: Path) -> None:
    protect(direct.server, key_file)
    with Capture(direct.client, tmp_path) as capture:
        assert not gets_in(direct.client, direct.server.ipv4)
        assert wait_for_verdict(capture, key_file, "uncoded")["syn"]["finding"] == "no-code"


def test_no_service(direct: Network, key_file: str, tmp_path: Path) -> None:
    protect(direct.server, key_file)
    equip(direct.client, key_file)
    with Capture(direct.client, tmp_path) as capture:
        with pytest.raises(ConnectionRefusedError):
            gets_in(direct.client, direct.server.ipv4)
        wait_for_verdict(capture, key_file, "refused")


def test_the_answer_is_not_unmasked(direct: Network, key_file: str, tmp_path: Path) -> None:
    protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    direct.client.run(["iptables", "-w", "-t", "raw", "-F", "PREROUTING"])
    with Capture(direct.client, tmp_path) as capture:
        gets_in(direct.client, direct.server.ipv4)
        found = wait_for_verdict(capture, key_file, "not-unmasked")
    assert found["third_ack"]["acknowledges"] == "masked-isn"


def test_a_guess(direct: Network, key_file: str, tmp_path: Path) -> None:
    protect(direct.server, key_file)
    keep_kernel_quiet(direct.client)
    echo_server(direct.server, 22)
    with Capture(direct.server, tmp_path) as capture:
        with peer(direct.client, key_file, direct.server.ipv4, source_port=20_001) as guesser:
            guesser.send_syn()
            assert guesser.receive_synack()
            guesser.send_ack(ack=guesser.rcv_nxt ^ WRONG)
        found = wait_for_verdict(capture, key_file, "wrong-acknowledgment")
    assert found["syn_ack"]["finding"] == "proven"


# --- wrong use ----------------------------------------------------------------------------------------------------


def test_wrong_files(key_file: str, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("this is no capture file at all, but text")
    wrong_link = tmp_path / "wireless.pcap"
    wrong_link.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff00007f000000"))
    for arguments, status, message in (
        (["--key-file", key_file, tmp_path / "nothing"], 66, "No such file"),
        (["--key-file", key_file, text], 65, "no capture file"),
        (["--key-file", key_file, tmp_path], 65, "no capture file"),
        (["--key-file", key_file, wrong_link], 65, "IEEE802_11_RADIO"),
        (["--key-file", tmp_path / "no-key", text], 66, "there is no such file"),
        (["--key-file", text, text], 77, "group or others"),
        (["--key-file", key_file, "--slots", "-1", text], 64, "0 to 1440"),
        (["--key-file", key_file, "--client-address", "here", text], 64, "not an IP address"),
        (["--key-file", key_file], 64, "file"),
    ):
        result = run(*arguments)
        assert result.returncode == status, (arguments, result.stderr)
        assert message in result.stderr
        assert result.stdout == ""


def test_a_file_that_ends_in_the_middle(direct: Network, key_file: str, tmp_path: Path) -> None:
    path = recorded(direct, key_file, tmp_path)
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(Path(path).read_bytes()[:-3])
    result = run("--key-file", key_file, cut)
    # What is there is shown, and the exit status says that something is missing.
    assert "right code" in result.stdout
    assert (result.returncode, "truncated" in result.stderr) == (65, True)

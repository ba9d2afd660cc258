"""`ein`: the operator's tool. Commands import what they need when they run, so that `--help` is quick."""

import importlib
import sys

import click

from gateway.records.errors import GatewayError
from gateway.server import exit_codes

# Command -> module and attribute of its click command.
COMMANDS = {
    "apply": ("gateway.server.cli.programs", "apply_command"),
    "approvals": ("gateway.server.cli.approve", "approvals_command"),
    "approve": ("gateway.server.cli.approve", "approve_command"),
    "audit": ("gateway.server.cli.audit", "audit_command"),
    "backup": ("gateway.server.cli.backup", "backup_command"),
    "client": ("gateway.server.cli.client", "client_command"),
    "consent": ("gateway.server.cli.consent", "consent_command"),
    "demo": ("gateway.server.cli.demo", "demo_command"),
    "dev-ca": ("gateway.server.cli.dev_ca", "dev_ca_command"),
    "feeds": ("gateway.server.cli.processes", "feeds_command"),
    "gateway": ("gateway.server.cli.processes", "gateway_command"),
    "history": ("gateway.server.cli.history", "history_command"),
    "init": ("gateway.server.cli.setup", "init_command"),
    "issuer": ("gateway.server.cli.issuer", "issuer_command"),
    "keys": ("gateway.server.cli.keys", "keys_command"),
    "kill": ("gateway.server.cli.kill", "kill_command"),
    "measure": ("gateway.server.cli.processes", "measure_command"),
    "operator": ("gateway.server.cli.operator", "operator_command"),
    "participants": ("gateway.server.cli.participants", "participants_command"),
    "pause": ("gateway.server.cli.kill", "pause_command"),
    "plan": ("gateway.server.cli.plan", "plan_command"),
    "programs": ("gateway.server.cli.programs", "programs_command"),
    "refuse": ("gateway.server.cli.approve", "refuse_command"),
    "replay": ("gateway.server.cli.replay", "replay_command"),
    "report": ("gateway.server.cli.report", "report_command"),
    "restore": ("gateway.server.cli.backup", "restore_command"),
    "resume": ("gateway.server.cli.kill", "resume_command"),
    "revive": ("gateway.server.cli.approve", "revive_command"),
    "rollback": ("gateway.server.cli.history", "rollback_command"),
    "status": ("gateway.server.cli.status", "status_command"),
    "subject": ("gateway.server.cli.subject", "subject_command"),
    "token": ("gateway.server.cli.token", "token_command"),
    "up": ("gateway.server.cli.processes", "up_command"),
    "verify": ("gateway.server.cli.verify", "verify_command"),
}


class LazyCommands(click.Group):
    """Imports a command's module only when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyCommands)
@click.version_option(package_name="issuernetwork")
def ein() -> None:
    """Enhanced Issuer Network gateway: share payment risk signals under consent, and prove what it did."""


def main() -> None:
    """Runs `ein` and ends with one of `gateway.server.exit_codes`."""
    try:
        # Outside standalone mode click hands back the exit code that a command raised.
        code = ein(standalone_mode=False)
    except click.Abort:
        sys.exit(exit_codes.INTERRUPTED)
    except click.ClickException as usage:
        usage.show()
        sys.exit(exit_codes.USAGE)
    except GatewayError as refused:
        click.echo(f"ein: {refused.code}: {refused.public}", err=True)
        sys.exit(exit_codes.CONFIG)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()

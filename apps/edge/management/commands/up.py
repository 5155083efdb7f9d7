"""`make up`: everything in one process, in the foreground."""

import threading
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from apps.catalog.models import Route
from apps.edge.server import Companions, run
from apps.edge.startup import Operator, collect_static, prepare_operator, register_providers, wall_warnings


class Command(BaseCommand):
    help = "Prepare and run everything in this process: server, usage drainer, background worker."

    def handle(self, *args: Any, **options: Any) -> None:
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._say("Preparing the database …")
        call_command("migrate", interactive=False, verbosity=0)
        if collect_static():
            self._say("Collected static files.")
        operator = prepare_operator()
        if settings.DISCOVER_PROVIDERS:
            self._say("Looking for model servers …")
        stop = threading.Event()
        for warning in [*wall_warnings(), *register_providers(stop)]:
            self._say(f"  {warning}")
        banner = _banner(operator)
        companions = Companions()
        companions.start()
        try:
            run(workers=1, on_ready=lambda: self._say(banner))
        finally:
            stop.set()
            companions.stop()
            self._say("Stopped. Everything accepted is accounted for.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _banner(operator: Operator) -> str:
    base = f"http://localhost:{settings.HTTP_PORT}"
    routes = Route.objects.callable()
    models = list(routes.order_by("model__model_id").values_list("model__model_id", flat=True)[:6])
    password = f"password {operator.password}  (shown this once)" if operator.password else "with its password"
    model = models[0] if models else "jan-demo"
    token = (
        f"$(curl -s -X POST {base}/llm/auth/guest-login"
        """ | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')"""
    )
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
    return f"""
Jan Server is running. Ctrl-C stops it.

  API       {base}/v1
  Swagger   {base}/api/swagger/index.html
  Admin     {base}/admin/   sign in as {operator.email}, {password}
  Models    {", ".join(models) or "none yet"}

Try it:

  curl -s {base}/v1/chat/completions -H "Authorization: Bearer {token}" -H "Content-Type: application/json" -d '{body}'
"""

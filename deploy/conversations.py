"""
Measure what a page and a turn cost as conversations grow: PostgreSQL and Redis from pip, two web processes.

    .venv/bin/python -m deploy.conversations [--conversations 1000000] [--rounds 40]

One person has conversations of 10, 1,000 and 100,000 items, and first few, then a million conversations.
Each figure is the median of requests made in turns, so that a slow moment of the machine meets all alike; the
ratio is of the largest to the smallest. The provider answers at once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import httpx2
import psycopg

from tests.parts import early
from tests.provider import Provider
from tests.server import Server, start_server

SIZES = (10, 1_000, 100_000)
WARM_UP = 5
# More than a page of them.
FEW = 50

# A person's next conversations, and the id of one that is there, whose owner they get.
_CONVERSATIONS = """
WITH mine AS (SELECT * FROM conversations_conversation WHERE public_id = %(model)s),
numbers AS (SELECT generate_series(%(first)s::int, %(last)s::int) AS n),
made AS (
    INSERT INTO conversations_conversation
        (public_id, organization_id, project_id, user_id, title, has_given_title, model, metadata, referrer, turn_id,
         summary, summary_sequence, created_at, updated_at)
    SELECT 'conv_' || lpad(n::text, 24, '0'), organization_id, project_id, user_id, 'Conversation ' || n, true, 'plain',
        '{}', '', '', '', 0, now() - n * interval '1 minute', now() - n * interval '1 minute'
    FROM mine, numbers RETURNING id, organization_id
)
INSERT INTO conversations_branch
    (organization_id, conversation_id, name, fork_sequence, last_sequence, item_count, deleted_count, created_at)
SELECT organization_id, id, 'MAIN', 0, 0, 0, 0, now() FROM made
"""
_ACTIVE = """
UPDATE conversations_conversation c SET active_branch_id = b.id FROM conversations_branch b
WHERE b.conversation_id = c.id AND c.active_branch_id IS NULL
"""
_ITEMS = """
WITH mine AS (
    SELECT b.* FROM conversations_branch b JOIN conversations_conversation c ON c.active_branch_id = b.id
    WHERE c.public_id = %(model)s
), made AS (
    INSERT INTO conversations_item
        (public_id, organization_id, conversation_id, branch_id, sequence, type, role, status, data, metadata, text,
         tokens, rating, model, request_id, created_at)
    SELECT 'msg_' || lpad(n::text, 12, '0') || lpad(id::text, 12, '0'), organization_id, conversation_id, id,
        last_sequence + n, 'message', CASE WHEN n %% 2 = 1 THEN 'user' ELSE 'assistant' END, 'completed',
        jsonb_build_object('content', jsonb_build_array(jsonb_build_object('type',
            CASE WHEN n %% 2 = 1 THEN 'input_text' ELSE 'output_text' END, 'text', 'What was said as number ' || n,
            'annotations', '[]'::jsonb))),
        '{}', 'What was said as number ' || n, 14, '', '', '', now()
    FROM mine, generate_series(1, %(count)s) AS n RETURNING branch_id
)
UPDATE conversations_branch b SET last_sequence = b.last_sequence + %(count)s, item_count = b.item_count + %(count)s
FROM mine WHERE b.id = mine.id
"""


class Bench:
    def __init__(self, server: Server, provider: Provider) -> None:
        headers = {"x-api-key": server.user_key()}
        self.api = httpx2.Client(base_url=server.base_url, headers=headers, timeout=120)
        dsn = server.env["DATABASE_URL"]
        options = "-c jan.organization=* -c jan.organization_public_id=*"
        self.database = psycopg.connect(dsn, autocommit=True, options=options)
        self.ids = [self._conversation(size) for size in SIZES]

    def _conversation(self, size: int) -> str:
        made = str(self.api.post("/v1/conversations", json={"title": f"{size} items"}).json()["id"])
        self.database.execute(_ITEMS, {"model": made, "count": size})
        return made

    def fill(self, first: int, last: int) -> None:
        self.database.execute(_CONVERSATIONS, {"model": self.ids[0], "first": first, "last": last})
        self.database.execute(_ACTIVE)
        self.database.execute("VACUUM ANALYZE conversations_conversation, conversations_branch, conversations_item")

    def middle_of(self, conversation: str) -> str:
        offset = self.api.get(f"/v1/conversations/{conversation}").json()["item_count"] // 2
        path = f"/v1/conversations/{conversation}/items?limit=1&offset={offset}"
        return str(self.api.get(path).json()["last_id"])

    def get(self, path: str) -> float:
        began = time.perf_counter()
        answer = self.api.get(path)
        took = time.perf_counter() - began
        assert answer.status_code == 200, answer.text
        return took * 1000

    def turn(self, conversation: str) -> float:
        body = {"model": "plain", "messages": [{"role": "user", "content": "And now?"}], "conversation": conversation}
        began = time.perf_counter()
        answer = self.api.post("/v1/chat/completions", json=body)
        took = time.perf_counter() - began
        assert answer.status_code == 200, answer.text
        return took * 1000


def medians(rounds: int, measures: list[Any]) -> list[float]:
    """Make each measurement once a round, and return the median of each."""
    taken: list[list[float]] = [[] for _ in measures]
    for number in range(rounds + WARM_UP):
        for times, measure in zip(taken, measures, strict=True):
            took = measure()
            if number >= WARM_UP:
                times.append(took)
    return [statistics.median(times) for times in taken]


def show(name: str, figures: list[float]) -> None:
    cells = " | ".join(f"{figure:.1f}" for figure in figures)
    print(f"| {name} | {cells} | {figures[-1] / figures[0]:.2f} |", flush=True)


def by_size(bench: Bench, rounds: int) -> None:
    """Print the table of conversations by their items."""
    print("| ms | " + " | ".join(f"{size:,} items" for size in SIZES) + " | ratio |\n|---|---|---|---|---|")
    paths = {
        "read": [f"/v1/conversations/{each}" for each in bench.ids],
        "first page of items": [f"/v1/conversations/{each}/items" for each in bench.ids],
        "a page in the middle": [f"/v1/conversations/{each}/items?after={bench.middle_of(each)}" for each in bench.ids],
    }
    for name, those in paths.items():
        show(name, medians(rounds, [lambda path=path: bench.get(path) for path in those]))
    show("a turn", medians(rounds, [lambda each=each: bench.turn(each) for each in bench.ids]))


def main() -> None:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--conversations", type=int, default=1_000_000)
    wanted.add_argument("--rounds", type=int, default=40)
    asked = wanted.parse_args()
    os.environ["DATABASE_URL"] = os.environ.get("DATABASE_URL") or early.start_postgres()
    os.environ["JAN_TEST_REDIS_URL"] = os.environ.get("JAN_TEST_REDIS_URL") or early.start_redis()
    with Provider() as provider, start_server(provider, profile="postgres", JAN_RATELIMIT_SCALE="1000000") as server:
        bench = Bench(server, provider)
        few, middle = ["?", "?q=items", f"?after={bench.ids[-1]}"], f"?after=conv_{asked.conversations // 2:024}"
        bench.fill(1, FEW)
        before = medians(asked.rounds, [lambda ask=ask: bench.get(f"/v1/conversations{ask}") for ask in few])
        bench.fill(FEW + 1, asked.conversations)
        by_size(bench, asked.rounds)
        many = [*few[:2], middle]
        after = medians(asked.rounds, [lambda ask=ask: bench.get(f"/v1/conversations{ask}") for ask in many])
        print(f"\n| ms | {FEW} | {asked.conversations:,} conversations | ratio |\n|---|---|---|---|")
        pairs = zip(before, after, strict=True)
        for name, figures in zip(("first page", "search", "a page in the middle"), pairs, strict=True):
            show(name, list(figures))


if __name__ == "__main__":
    main()

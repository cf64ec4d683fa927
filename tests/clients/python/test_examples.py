"""The examples, and the one of the README, print what they should."""

import asyncio
import re
import sys
import tempfile
import unittest
from pathlib import Path

from support import LIMIT, Case

CLIENT = Path(__file__).parents[3] / "clients/python"


class Examples(Case):
    async def prints(self, script, *arguments):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-B", script, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), LIMIT)
        return output.decode()

    async def test_keyvalue(self):
        lines = await self.prints(CLIENT / "examples/keyvalue.py", self.url, "examples")
        wanted = [
            "watches: True",
            "apple: green",
            "fruit/apple: green",
            "fruit/pear: yellow",
            "there is fruit/apple",
            "there is fruit/pear",
            "stored fruit/plum",
        ]
        self.assertEqual(lines.splitlines(), wanted)

    async def test_messages(self):
        lines = await self.prints(CLIENT / "examples/messages.py", self.url, "orders", "billing")
        self.assertEqual(lines.splitlines(), ["received order 1", "received order 2", "received order 3"])

    async def test_readme(self):
        text = (CLIENT / "README.md").read_text()
        program, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.DOTALL).groups()
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "hello.py"
            script.write_text(program.replace("http://127.0.0.1:8980", self.url).replace('"default"', '"examples"'))
            self.assertEqual(await self.prints(script), output)


if __name__ == "__main__":
    unittest.main()

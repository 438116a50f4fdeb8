// Reads an AsyncAPI document with the specification's own parser and prints what it finds wrong. Nothing
// but "there is a newer version of AsyncAPI" is let pass: the version is chosen (internal/event/cmd/eventdoc).
//   node lint.mjs FOLDER-WITH-THE-PARSER DOCUMENT
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [folder, document] = process.argv.slice(2);
const { Parser } = createRequire(resolve(folder) + '/')('@asyncapi/parser');

const { document: parsed, diagnostics } = await new Parser().parse(readFileSync(document, 'utf8'));
const found = diagnostics.filter((d) => d.code !== 'asyncapi-latest-version');
for (const d of found) {
  console.error(`${document}:${d.range.start.line + 1}: ${d.code}: ${d.message} (${d.path.join('/')})`);
}
if (!parsed || found.length > 0) {
  process.exit(1);
}
const messages = parsed.allMessages().all();
const examples = messages.reduce((n, m) => n + m.examples().all().length, 0);
console.log(`${document}: AsyncAPI ${parsed.version()}, ${messages.length} messages, ${examples} examples, nothing wrong`);

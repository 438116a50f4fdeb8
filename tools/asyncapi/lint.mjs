// Reads an AsyncAPI document with the specification's own parser and prints what it finds wrong. Nothing
// but "there is a newer version of AsyncAPI" is let pass: the version is chosen (internal/event/cmd/eventdoc).
// The parser does not hold the examples against their schemas; that is done here, with the parser's validator.
//   node lint.mjs FOLDER-WITH-THE-PARSER DOCUMENT
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [folder, file] = process.argv.slice(2);
const require = createRequire(resolve(folder) + '/');
const { Parser } = require('@asyncapi/parser');
const Ajv = require('ajv').default;
const formats = require('ajv-formats').default;

const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'));
const found = diagnostics
  .filter((d) => d.code !== 'asyncapi-latest-version')
  .map((d) => `${d.range.start.line + 1}: ${d.code}: ${d.message} (${d.path.join('/')})`);

const messages = document?.allMessages().all() ?? [];
const ajv = formats(new Ajv({ strict: false, allErrors: true }));
let examples = 0;
for (const message of messages) {
  const payload = ajv.compile(message.payload().json());
  const headers = ajv.compile(message.headers().json());
  for (const example of message.examples().all()) {
    examples++;
    for (const [what, valid, value] of [['payload', payload, example.payload()], ['headers', headers, example.headers()]]) {
      if (!valid(value)) {
        found.push(`${message.name()}: the example's ${what}: ${ajv.errorsText(valid.errors)}`);
      }
    }
  }
}

for (const line of found) {
  console.error(`${file}: ${line}`);
}
if (found.length > 0 || examples === 0) {
  process.exit(1);
}
console.log(`${file}: AsyncAPI ${document.version()}, ${messages.length} messages, ${examples} examples, nothing wrong`);

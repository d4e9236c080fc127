/** Writes the tables of keys into README.md: `npx tsx --conditions=@graftjs/source test/document.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { documentConfig } from '../src/config/document.ts';

const file = new URL('../README.md', import.meta.url);
const [before, rest] = readFileSync(file, 'utf8').split(/(?<=<!-- keys: .*-->\n)/s);
const after = rest!.slice(rest!.indexOf('<!-- end of keys -->'));
writeFileSync(file, `${before}${await documentConfig()}\n${after}`);

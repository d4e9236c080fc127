import { resolve } from 'node:path';
import { checkFloors } from './check.ts';

const { violations, packages, files } = checkFloors(resolve(import.meta.dirname, '../..'));
for (const { file, line, reason } of violations) console.error(`${file}${line ? `:${line}` : ''}: ${reason}`);
if (violations.length > 0) {
  console.error(`floors: ${violations.length} forbidden imports`);
  process.exitCode = 1;
} else {
  console.log(`floors: ${files} files of ${packages} packages keep to their floors`);
}

import { read } from './process.mjs';

// Run in a child: a broken driver may crash the process that loads it, and the child's environment
// can name another driver than ours.
const probe = `
import { create } from 'webgpu';
const gpu = create([]);
const adapter = await gpu.requestAdapter();
if (adapter) {
  const { vendor, architecture, device, description } = adapter.info;
  console.log(JSON.stringify({ vendor, architecture, device, description }));
}
`;

/**
 * The adapter that Dawn (npm package `webgpu`) finds, or why there is none.
 *
 * @param {NodeJS.ProcessEnv} env environment of the process that would use it
 * @returns {{ name: string, info: object } | { name: undefined, reason: string }}
 */
export function findAdapter(env = process.env) {
  const { code, stdout, stderr } = read(process.execPath, ['--input-type=module', '-e', probe], { env });
  const line = stdout.split('\n').find((text) => text.startsWith('{'));
  if (!line) {
    const reason = stderr.trim().split('\n')[0]?.slice(0, 200);
    return { name: undefined, reason: reason || (code ? `exit code ${code}` : 'no adapter') };
  }
  const info = JSON.parse(line);
  return { name: info.description || info.device || info.vendor, info };
}

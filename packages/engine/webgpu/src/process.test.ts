import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const here = dirname(fileURLToPath(import.meta.url));

/** Runs `script` in a Node of its own, which must end by itself. */
function run(script: string, env: Record<string, string> = {}) {
  const args = ['--import', 'tsx', '--conditions=@graftjs/source', '--expose-gc', '--input-type=module'];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...args, '-e', script], {
    cwd: here,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, signal, stdout, stderr };
}

const start = `
import { openGpu } from '@graftjs/webgpu';
let gpu = await openGpu();
const buffer = gpu.buffers.create(64, 'values');
gpu.write(buffer, 0, new Uint32Array([42]));
const [value] = new Uint32Array(await gpu.read(buffer, 0, 4));
`;

describe('a process that used a device', () => {
  test.each([
    ['without close()', ''],
    ['after close()', 'gpu.close();'],
    ['with a listener for the loss', 'gpu.lost.then(() => console.log("lost"));'],
    ['with work that nobody waits for', 'gpu.submit(() => {}); gpu.submit(() => {}); void gpu.read(buffer);'],
    [
      'when the device was collected',
      'gpu = undefined; for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); }',
    ],
  ])('ends by itself %s', (_, end) => {
    const { status, signal, stdout, stderr } = run(`${start}${end}\nconsole.log('value', value);`);
    expect(stderr).not.toMatch(/Error|terminate|Owner died/);
    expect({ status, signal, stdout }).toEqual({ status: 0, signal: null, stdout: 'value 42\n' });
  });

  test('learns what to install where there is no driver', () => {
    const script = `
      import { openGpu } from '@graftjs/webgpu';
      const error = await openGpu().catch((reason) => reason);
      console.log(error.name, error.message);`;
    const nothing = '/nonexistent.json';
    const { status, stdout } = run(script, { VK_ICD_FILENAMES: nothing, VK_DRIVER_FILES: nothing });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^NoAdapterError .*apt-get install mesa-vulkan-drivers/);
  });
});

import { mkdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { memoryFolder, readAdapter } from '@graftjs/checkpoint';
import { unzipSync } from 'fflate';
import { type Browser, chromium, type Page } from 'playwright';
import { build, type PreviewServer, preview } from 'vite';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const artifacts = fileURLToPath(new URL('../../../../artifacts/', import.meta.url));
const quietNetwork = [
  '--no-sandbox',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];
const launch = (args: readonly string[]): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [...quietNetwork, ...args],
  });

/** Little enough for a software adapter on two cores. */
const little = '?steps=6&batchSize=2&blockLength=64&heldOutExamples=4&evaluations=2&sampleTokens=12&seed=3';

/** Milliseconds: a software adapter on a busy machine takes its time. */
const patience = 240_000;
vi.setConfig({ testTimeout: 2 * patience, hookTimeout: patience });

let outDir: string;
let server: PreviewServer;
let address: string;
let browser: Browser;

beforeAll(async () => {
  outDir = await mkdtemp(join(tmpdir(), 'playground-'));
  const common = { root, configFile: join(root, 'vite.config.ts'), logLevel: 'error' } as const;
  await build({ ...common, build: { outDir, emptyOutDir: true } });
  server = await preview({ ...common, build: { outDir }, preview: { port: 0 } });
  address = server.resolvedUrls!.local[0]!;
  browser = await launch(['--enable-unsafe-webgpu']);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  await rm(outDir, { recursive: true, force: true });
});

/** A page, with what it complains of and whom it calls. */
async function open(
  path: string,
  from = browser,
  before?: () => void,
): Promise<{ page: Page; complaints: string[] }> {
  const page = await from.newPage({ viewport: { width: 1180, height: 900 }, acceptDownloads: true });
  if (before) await page.addInitScript(before);
  page.setDefaultTimeout(patience);
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith('blob:'))
      complaints.push(`a request to ${request.url()}`);
  });
  await page.goto(new URL(path, address).href);
  return { page, complaints };
}

const inState = (page: Page, state: string): Promise<unknown> =>
  page.waitForFunction((wanted) => document.body.dataset.state === wanted, state);

const number = (page: Page, name: string): Promise<string> => page.locator(`#number-${name}`).innerText();

describe('the page', () => {
  it('fine-tunes at the first click, shows the curve and the samples, and hands out the adapter', async () => {
    const { page, complaints } = await open(little);
    // Clicked before the device is open: it starts when it is.
    await page.click('#train');
    await inState(page, 'running');
    expect(await page.locator('#device').innerText()).toMatch(/swiftshader|16-bit floats/i);

    await page.waitForFunction(() =>
      /^[2-5] \/ 6$/.test(document.getElementById('number-step')?.textContent ?? ''),
    );
    await page.click('#pause');
    await inState(page, 'paused');
    await page.waitForTimeout(1500);
    const paused = await number(page, 'step');
    await page.waitForTimeout(1500);
    expect(await number(page, 'step')).toBe(paused);
    expect(await page.locator('#status').innerText()).toBe('Paused');
    await page.click('#pause');

    await inState(page, 'ready');
    expect(await page.locator('#status').innerText()).toMatch(/^Done in .*held-out loss went from \d/);
    expect(await number(page, 'step')).toBe('6 / 6');
    const losses = (await number(page, 'held-out')).split(' → ').map(Number);
    expect(losses[1]).toBeLessThan(losses[0]!);
    // One row before training, and one for each of two evaluations.
    expect(await page.locator('#table-body tr').count()).toBe(3);
    expect(await page.locator('#chart').getAttribute('aria-label')).toContain(
      `${losses[1]!.toFixed(2)} at step 6`,
    );
    expect(await page.locator('.pair').count()).toBe(3);
    expect(await page.locator('blockquote.empty').count()).toBe(0);

    await page.fill('#try-prompt', 'And he went');
    await page.press('#try-prompt', 'Enter');
    await page.waitForFunction(() => document.querySelectorAll('.pair').length === 4);
    await inState(page, 'ready');
    expect(await page.locator('.pair:last-child').innerText()).toMatch(
      /^Before\s+And he went.*After\s+And he went/s,
    );

    const coming = page.waitForEvent('download');
    await page.click('#download');
    const zip = unzipSync(readFileSync(await (await coming).path()));
    const { config, tensors } = await readAdapter(
      memoryFolder(new Map(Object.entries(zip))).folder('graft-adapter'),
    );
    expect(config).toMatchObject({ peft_type: 'LORA', r: 16, lora_alpha: 32, task_type: 'CAUSAL_LM' });
    // Three layers with seven linear ones each.
    expect(tensors.tensors.size).toBe(3 * 7 * 2);
    const trained = await tensors.readFloat32(
      'base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight',
    );
    expect(trained.every(Number.isFinite)).toBe(true);
    expect(trained.some((value) => value !== 0)).toBe(true);

    mkdirSync(artifacts, { recursive: true });
    await page.screenshot({ path: join(artifacts, 'playground.png'), fullPage: true });
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);

    // A run that is stopped keeps what it has learnt.
    await page.fill('#knob-steps', '400');
    await page.click('#train');
    await page.waitForFunction(() =>
      /^[1-9]/.test(document.getElementById('number-step')?.textContent ?? ''),
    );
    await page.click('#stop');
    await inState(page, 'ready');
    expect(await page.locator('#status').innerText()).toMatch(/^Stopped after \d+ steps/);
    expect(await page.locator('#adapter').isVisible()).toBe(true);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('says what is wrong with a text that is too short, and can be used again', async () => {
    const { page, complaints } = await open(little);
    await page.fill('#own-text', 'Far too short.');
    await page.click('#train');
    // Not the state 'running': it may be over before it is looked for.
    await page.waitForFunction(() => /too few/.test(document.getElementById('status')?.textContent ?? ''));
    await inState(page, 'ready');
    expect(await page.locator('#status').innerText()).toMatch(/tokens are too few to learn from/);
    await page.click('#clear-text');
    expect(await page.locator('#text-summary').innerText()).toContain('King James');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('starts in a browser that calls its language by no language tag', async () => {
    const { page, complaints } = await open('', browser, () =>
      Object.defineProperty(Navigator.prototype, 'language', { get: () => 'en-US@posix' }),
    );
    await inState(page, 'ready');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('says what to do where there is no WebGPU', async () => {
    const plain = await launch(['--disable-features=WebGPU']);
    try {
      const { page } = await open('', plain);
      await inState(page, 'no-device');
      expect(await page.locator('[role=alert]').innerText()).toMatch(/needs WebGPU.*Use Chrome or Edge/s);
      expect(await page.locator('#train').isDisabled()).toBe(true);
    } finally {
      await plain.close();
    }
  });
});

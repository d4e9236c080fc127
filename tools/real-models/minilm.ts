/**
 * all-MiniLM-L6-v2, beside transformers on the same weights: ids of texts by its WordPiece tokenizer, sentence
 * embeddings and their similarities. Fails where a bound is not kept. See README.md for the files.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readJsonObject } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { loadTokenizer } from '@graftjs/data';
import { bert, loadModel, readSentencePooling, sentenceEmbedding } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { Variable } from '@graftjs/tensor';
import { openGpu } from '@graftjs/webgpu';
import expected from './minilm.expected.json' with { type: 'json' };

/** What must hold: how far an element of an embedding, whose length is 1, may be off. */
const most = 1e-4;

const [path] = process.argv.slice(2);
if (path === undefined) {
  console.error('minilm: give the folder of all-MiniLM-L6-v2; see README.md');
  process.exit(2);
}
const say = (event: string, more: object): void => console.log(JSON.stringify({ event, ...more }));
const failures: string[] = [];
const hold = (holds: boolean, what: string): void => {
  if (!holds) failures.push(what);
};
const seconds = (since: number): number => Math.round(performance.now() - since) / 1000;
const farthest = (a: ArrayLike<number>, b: readonly number[]): number =>
  b.reduce((worst, x, i) => Math.max(worst, Math.abs(a[i]! - x)), 0);

const digest = createHash('sha256');
for await (const piece of createReadStream(`${path}/${expected.file}`)) digest.update(piece as Buffer);
if (digest.digest('hex') !== expected.sha256) {
  console.error(`minilm: ${path}/${expected.file} is not the one that the expected results are of`);
  process.exit(2);
}

const start = performance.now();
const folder = nodeFolder(path);
const runtime = new Runtime(await openGpu());
const { model } = await loadModel(folder, { architectures: [bert.encoder], runtime });
const pooling = await readSentencePooling(folder);
const tokenizer = loadTokenizer({
  tokenizerJson: await readJsonObject(folder, 'tokenizer.json'),
  tokenizerConfig: await readJsonObject(folder, 'tokenizer_config.json'),
  modelVocabSize: model.config.vocabSize,
});
await runtime.gpu.idle();
say('loaded', {
  adapter: runtime.gpu.traits.description,
  seconds: seconds(start),
  bytes: runtime.gpu.stats().bytesLive,
  ...pooling,
});

const { texts } = expected;
const different = texts.filter(({ text, ids }) => tokenizer.encode(text).join() !== ids.join());
hold(different.length === 0, `ids of ${JSON.stringify(different.map(({ text }) => text))} differ`);
say('tokenizer', { texts: texts.length, different: different.length });

const longest = Math.max(...texts.map(({ ids }) => ids.length));
const [inputs, mask] = [new Int32Array(texts.length * longest), new Int32Array(texts.length * longest)];
for (const [row, { ids }] of texts.entries()) {
  inputs.set(ids, row * longest);
  mask.fill(1, row * longest, row * longest + ids.length);
}
const shape = [texts.length, longest];
const [inputIds, keyMask] = [new Variable(shape, inputs), new Variable(shape, mask)];
const states = model.hiddenStates({ inputIds, keyMask }, new Context());
const program = await runtime.compile({ outputs: [sentenceEmbedding(states, keyMask, pooling)] });
await program.run();
const before = performance.now();
const [all] = (await program.run()) as [Float32Array];
const took = seconds(before);
const width = model.config.hiddenSize;
const rows = texts.map((_, row) => all.subarray(row * width, (row + 1) * width));
const distance = Math.max(...texts.map(({ embedding }, row) => farthest(rows[row]!, embedding)));
hold(distance <= most, `embeddings differ by ${distance}, more than ${most}`);
const dot = (a: Float32Array, b: Float32Array): number => a.reduce((total, x, i) => total + x * b[i]!, 0);
const similarity = Math.max(
  ...expected.similarities.map((wanted, i) =>
    farthest(
      rows.map((row) => dot(rows[i]!, row)),
      wanted,
    ),
  ),
);
hold(similarity <= most, `similarities differ by ${similarity}, more than ${most}`);
say('embeddings', {
  texts: texts.length,
  tokens: longest,
  distance,
  similarity,
  transformersFloat32: expected.float32Distance,
  seconds: took,
});
runtime.gpu.close();
for (const failure of failures) console.error(`minilm: ${failure}`);
say('result', { failures: failures.length });
process.exitCode = failures.length > 0 ? 1 : 0;

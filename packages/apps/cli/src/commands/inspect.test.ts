import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeSafetensors, openSafetensors, type TensorData } from '@graftjs/checkpoint';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail, resultOf, succeed } from '../../test/run-cli.ts';
import { texts, writeTinyModel } from '../../test/tiny-model.ts';

const gguf = fileURLToPath(new URL('../../test/fixtures/tiny.Q8_0.gguf', import.meta.url));
let root: string;
const at = (...names: string[]): string => join(root, ...names);
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'graft-inspect-'));
  writeTinyModel(at('model'));
  writeFileSync(at('data.jsonl'), texts(12));
  await succeed(
    ...['train', '--model', at('model'), '--data', at('data.jsonl'), '--output', at('run'), '--steps', '2'],
    '--quiet',
  );
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const look = (path: string) => resultOf('inspect', path);
const embedding = {
  name: 'model.embed_tokens.weight',
  dtype: 'F32',
  shape: [2048, 32],
  bytes: 4 * 2048 * 32,
};
/** Of the tiny model: embeddings, one layer with grouped queries, norms. */
const parameters = 2048 * 32 + (32 * 32 * 2 + 32 * 16 * 2) + 3 * 32 * 64 + 3 * 32;

describe('a model folder', () => {
  test('with tensors, configuration, tokenizer and chat template', async () => {
    const found = await look(at('model'));
    expect(found).toMatchObject({
      event: 'result',
      kind: 'model',
      path: at('model'),
      supported: true,
      modelType: 'llama',
      vocabSize: 2048,
      layers: 1,
      parameters,
      bytes: 4 * parameters,
      dtypes: { F32: 4 * parameters },
      config: { hidden_size: 32 },
      tokenizer: { vocabSize: 2048, eos: { id: 0, token: '<|endoftext|>' } },
      problems: [],
    });
    expect(found.tensors).toHaveLength(11);
    expect(found.tensors).toContainEqual(embedding);
  });

  test('whose template is tried', async () => {
    writeTinyModel(at('chat'));
    const file = at('chat', 'tokenizer_config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    const write = (template: string) =>
      writeFileSync(file, JSON.stringify({ ...config, chat_template: template }));
    write('{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}');
    expect((await look(at('chat'))).tokenizer).toMatchObject({
      chatTemplate: { marksAssistant: false, example: '[user] Hello' },
    });
    write('{{ raise_exception("no users here") }}');
    const found = await look(at('chat'));
    expect(found.tokenizer).toMatchObject({ chatTemplate: { example: null } });
    expect(found.problems).toEqual([expect.stringContaining('no users here')]);
  });

  test('in shards is one model', async () => {
    const whole = await openSafetensors(readFileSync(at('model', 'model.safetensors')));
    writeTinyModel(at('sharded'));
    rmSync(at('sharded', 'model.safetensors'));
    const names = [...whole.tensors.keys()];
    const map: Record<string, string> = {};
    for (const [i, part] of [names.slice(0, 4), names.slice(4)].entries()) {
      const shard = `model-0000${i + 1}-of-00002.safetensors`;
      const tensors = new Map<string, TensorData>();
      for (const name of part) {
        const { dtype, shape } = whole.tensors.get(name)!;
        tensors.set(name, { dtype, shape, data: await whole.read(name) });
        map[name] = shard;
      }
      writeFileSync(at('sharded', shard), encodeSafetensors(tensors, { format: 'pt' }));
    }
    writeFileSync(at('sharded', 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
    expect(await look(at('sharded'))).toMatchObject({ kind: 'model', parameters, problems: [] });
    rmSync(at('sharded', 'model-00002-of-00002.safetensors'));
    const { problems, config } = await look(at('sharded'));
    expect(problems).toEqual([expect.stringContaining('model-00002-of-00002.safetensors')]);
    expect(config).toBeNull();
  });

  test('with what is wrong', async () => {
    const problemsOf = async (change: Record<string, unknown>): Promise<unknown> => {
      writeTinyModel(at('wrong'));
      const file = at('wrong', 'config.json');
      writeFileSync(
        file,
        JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...change }),
      );
      return (await look(at('wrong'))).problems;
    };
    expect(await problemsOf({ intermediate_size: 60 })).toEqual([
      expect.stringContaining('model.layers.0.mlp.'),
    ]);
    expect(await problemsOf({ num_hidden_layers: 1000 })).toEqual([expect.stringContaining('layers.999')]);
    expect(await problemsOf({ model_type: 'lama' })).toEqual([
      expect.stringContaining('Did you mean llama?'),
    ]);
    expect(await problemsOf({ vocab_size: 100 })).toEqual([
      expect.stringContaining('model.embed_tokens.weight'),
      expect.stringContaining('the model embeds only 100 tokens'),
    ]);
    rmSync(at('wrong', 'tokenizer.json'));
    writeFileSync(at('wrong', 'config.json'), readFileSync(at('model', 'config.json')));
    expect((await look(at('wrong'))).problems).toEqual([
      expect.stringContaining('there is no tokenizer.json'),
    ]);
  });

  test('as people read it', async () => {
    const text = (await succeed('inspect', tinyLlamaFolder)).stdout();
    expect(text).toMatch(/^model folder: /);
    expect(text).toMatch(/^llama: \d+ layers of \d+, vocabulary of 2,048/m);
    expect(text).toMatch(
      /^ {2}model\.layers\.\{0-\d+\}\.mlp\.up_proj\.weight {2}F\d+ \[\d+, \d+\] {2}× \d+$/m,
    );
    expect(text).toMatch(/no problems found\n$/);
  });
});

test('a GGUF file: its own tensors and metadata, and what graft makes of it', async () => {
  const found = await look(gguf);
  expect(found).toMatchObject({
    kind: 'gguf',
    supported: true,
    modelType: 'llama',
    metadata: { 'general.architecture': 'llama', 'tokenizer.ggml.tokens': expect.stringMatching(/ values$/) },
    tokenizer: { vocabSize: expect.any(Number) },
    problems: [],
  });
  const tensors = found.tensors as { name: string; dtype: string }[];
  expect(tensors.find(({ name }) => name === 'token_embd.weight')?.dtype).toBe('Q8_0');
  const cut = readFileSync(gguf).subarray(0, 1000);
  writeFileSync(at('cut.gguf'), cut);
  expect((await fail('inspect', at('cut.gguf'))).code).toBe(4);
});

describe('an adapter folder', () => {
  test('with its method and tensors', async () => {
    const found = await look(at('run', 'adapter'));
    expect(found).toMatchObject({
      kind: 'adapter',
      supported: true,
      method: 'LORA',
      baseModel: at('model'),
      config: { r: 8, lora_alpha: 16 },
      unknownConfigKeys: [],
      problems: [],
    });
    // Rank 8 on q, k, v, o, gate, up and down.
    expect(found.parameters).toBe(8 * (64 + 48 + 48 + 64 + 96 + 96 + 96));
  });

  test('of a method that is not here', async () => {
    mkdirSync(at('other'));
    for (const name of ['adapter_config.json', 'adapter_model.safetensors'])
      copyFileSync(at('run', 'adapter', name), at('other', name));
    const file = at('other', 'adapter_config.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"LORA"', '"TELEPATHY"'));
    expect(await look(at('other'))).toMatchObject({
      supported: false,
      method: 'TELEPATHY',
      problems: [
        expect.stringMatching(
          /^adapter config, peft_type = "TELEPATHY" is not supported: methods here are of .*LORA/,
        ),
      ],
    });
    rmSync(at('other', 'adapter_model.safetensors'));
    expect((await look(at('other'))).problems).toEqual([
      expect.stringContaining('peft_type = "TELEPATHY" is not supported'),
      expect.stringContaining('there is no adapter_model.safetensors'),
    ]);
  });
});

describe('a run', () => {
  test('with how far it is, its checkpoints and its adapter', async () => {
    const found = await look(at('run'));
    expect(found).toMatchObject({
      kind: 'run',
      step: 2,
      totalSteps: 2,
      loss: expect.any(Number),
      heldOutLoss: expect.any(Number),
      checkpoints: [2],
      config: { model: at('model') },
      adapter: { path: at('run', 'adapter'), method: 'LORA' },
      problems: [],
    });
  });

  test('and its checkpoints, whole or damaged', async () => {
    const folder = at('run', 'checkpoints', 'checkpoint-2');
    const whole = await look(folder);
    expect(whole).toMatchObject({
      kind: 'checkpoint',
      step: 2,
      whole: true,
      state: { step: 2 },
      problems: [],
    });
    expect((whole.files as { name: string }[]).map(({ name }) => name).sort()).toEqual([
      'adapter/adapter_config.json',
      'adapter/adapter_model.safetensors',
      'optimizer.safetensors',
      'trainable.safetensors',
      'trainer_state.json',
    ]);
    const file = join(folder, 'optimizer.safetensors');
    const bytes = readFileSync(file);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(file, bytes);
    const damaged = expect.stringContaining('optimizer.safetensors: the file is not what was saved');
    expect(await look(folder)).toMatchObject({ whole: false, problems: [damaged] });
    expect((await look(at('run'))).problems).toEqual([damaged]);
  });
});

describe('a file', () => {
  test('of safetensors', async () => {
    const found = await look(at('model', 'model.safetensors'));
    expect(found).toMatchObject({
      kind: 'safetensors',
      parameters,
      metadata: { format: 'pt' },
      problems: [],
    });
    expect(found.tensors).toContainEqual(embedding);
  });

  test.each([
    ['nothing there', () => at('none'), 'there is nothing there'],
    ['a damaged file', () => at('short'), 'short'],
    ['a folder of nothing of ours', () => root, 'it is the folder of no model, adapter, run or checkpoint'],
  ])('%s', async (_, path, message) => {
    writeFileSync(at('short'), 'abc');
    const { code, line } = await fail('inspect', path());
    expect(line).toContain(message);
    expect(code).toBe(4);
  });
});

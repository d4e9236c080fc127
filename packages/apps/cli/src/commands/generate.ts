import { nodeFolder } from '@graftjs/checkpoint/node';
import type { Tokenizer } from '@graftjs/data';
import { Generator } from '@graftjs/generate';
import type { CausalLM, Seq2SeqLM } from '@graftjs/models';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { InterruptedError, UsageError } from '../errors.ts';
import { numberFlag, requiredFlag } from '../flag-values.ts';
import { loadAdapter } from '../run/adapter.ts';
import { deviceName, openRuntime } from '../run/device.ts';
import { loadBase, openBase } from '../run/open-base.ts';
import { TextStream } from '../run/text-stream.ts';
import { storageFlag, weightsFlag } from '../run/weights-flag.ts';

export const generate = defineCommand({
  meta: { name: 'graft generate', description: 'Let a model continue a text, with or without an adapter' },
  args: {
    model: {
      type: 'string',
      valueHint: 'path',
      description: 'The base model: a Hugging Face folder or a GGUF file (needed)',
    },
    adapter: { type: 'string', valueHint: 'folder', description: 'The folder of an adapter for it' },
    prompt: { type: 'string', valueHint: 'text', description: 'What to continue (needed)' },
    chat: {
      type: 'boolean',
      description: "Hand the prompt over as a user's message, through the chat template",
    },
    system: { type: 'string', valueHint: 'text', description: 'With --chat: the system message' },
    'chat-template': {
      type: 'string',
      valueHint: 'file',
      description: "A Jinja file, or chatml, instead of the model's own",
    },
    'max-new-tokens': {
      type: 'string',
      valueHint: '128',
      description: 'How many tokens at most; 128 unless given',
    },
    temperature: {
      type: 'string',
      valueHint: '0.8',
      description: 'Spread of the choice; 0, the default, takes the likeliest',
    },
    'top-k': { type: 'string', valueHint: '40', description: 'Choose among the k likeliest tokens' },
    'top-p': {
      type: 'string',
      valueHint: '0.95',
      description: 'Choose among the likeliest tokens that together have this probability',
    },
    seed: {
      type: 'string',
      valueHint: '0',
      description: 'Of the choice; the same seed writes the same text',
    },
    stop: { type: 'string', valueHint: 'text', description: 'End where this text comes; it is not printed' },
    method: {
      type: 'string',
      valueHint: 'file',
      description: "The file of the adapter's method, where it is of no package",
    },
    weights: weightsFlag,
    ...commonFlags,
  },
  async run({ args, data }) {
    const { host, reporter } = data as CommandData;
    reporter.configure({ notesToStderr: true });
    const modelPath = requiredFlag('generate', 'model', args.model);
    if (args.prompt === undefined) throw new UsageError('generate needs --prompt; see graft generate --help');
    const sampling = {
      maxNewTokens: numberFlag('max-new-tokens', args['max-new-tokens'], 128, { least: 1, whole: true }),
      temperature: numberFlag('temperature', args.temperature, 0, { least: 0 }),
      topK: numberFlag('top-k', args['top-k'], Number.POSITIVE_INFINITY, { least: 1, whole: true }),
      topP: numberFlag('top-p', args['top-p'], 1, { least: Number.MIN_VALUE, most: 1 }),
      seed: numberFlag('seed', args.seed, 0, { least: 0, whole: true }),
    };
    const abort = new AbortController();
    const stopListening = host.onInterrupt(() => abort.abort());
    try {
      const base = await openBase(modelPath, { chatTemplate: args['chat-template'] });
      const { tokenizer } = base;
      if (base.task.type === 'SEQ_CLS')
        throw new UsageError(
          `a model of type ${base.config.modelType} writes no text; graft predict gives the class of one`,
        );
      const promptIds = encodePrompt(tokenizer, args.prompt, args.chat ?? false, args.system);
      const runtime = await openRuntime({
        onCompile: (done, total) => reporter.report({ event: 'compile', done, total }),
      });
      const storage = storageFlag(args.weights);
      const { model } = await loadBase(base, runtime, { storage });
      if (args.adapter !== undefined) {
        const { warnings } = await loadAdapter(runtime, model, nodeFolder(args.adapter), args.method);
        for (const message of warnings) reporter.report({ event: 'note', message });
      }
      const stream = new TextStream(
        (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }),
        args.stop === undefined ? [] : [args.stop],
      );
      const write = (text: string): void => {
        if (text !== '') reporter.report({ event: 'text', text });
      };
      const start = performance.now();
      let tokens = 0;
      const generator = new Generator(runtime, model as CausalLM | Seq2SeqLM);
      for await (const id of generator.stream(promptIds, { ...sampling, signal: abort.signal })) {
        tokens++;
        write(stream.push(id));
        if (stream.stopped) break;
      }
      write(stream.end());
      if (!args.json) host.out('\n');
      if (abort.signal.aborted) throw new InterruptedError('interrupted; nothing was changed');
      const seconds = (performance.now() - start) / 1000;
      reporter.result(
        {
          text: stream.text,
          promptTokens: promptIds.length,
          tokens,
          seconds,
          tokensPerSecond: tokens / seconds,
          device: deviceName(runtime),
        },
        '',
      );
      runtime.gpu.close();
    } finally {
      stopListening();
    }
  },
});

function encodePrompt(
  tokenizer: Tokenizer,
  prompt: string,
  chat: boolean,
  system: string | undefined,
): Int32Array {
  if (!chat) {
    const ids = tokenizer.encode(prompt);
    return ids.length === 0 && tokenizer.bosId !== undefined ? Int32Array.of(tokenizer.bosId) : ids;
  }
  const messages = [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: prompt },
  ];
  const text = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
  return tokenizer.encode(text, { addSpecialTokens: false });
}

/**
 * Trains the tokenizer of `@graftjs/tiny-llama` on the pretraining text and the quickstart's, and writes
 * `tokenizer.json` and `tokenizer_config.json` as Hugging Face does. Run `corpus.ts` first.
 *
 *     npx tsx --conditions=@graftjs/source tools/pretrain/tokenizer.ts
 */
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs';
import { loadTokenizer, readRecords, type TextRecord, tokenizeRecords } from '@graftjs/data';
import { type BytePairModel, countWords, trainBytePairs } from './byte-pair.ts';
import { packageFiles, pretrainHeldOut, pretrainTrain, quickstartHeldOut, quickstartTrain } from './paths.ts';

const vocabSize = 2048;
const endOfText = '<|endoftext|>';
const padding = '<|pad|>';
/** The quickstart's text is a fortieth of the speeches; repeated, its words get tokens of their own too. */
const quickstartWeight = 8;

const read = async (file: string): Promise<readonly TextRecord[]> =>
  (await readRecords(createReadStream(file), { file, format: 'text' })).records as readonly TextRecord[];

const tokenizerJson = ({ tokens, merges }: BytePairModel) => {
  const special = (content: string) => ({
    id: tokens.indexOf(content),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const sequence = (id: 'A' | 'B', type_id: number) => ({ Sequence: { id, type_id } });
  const opening = (type_id: number) => ({ SpecialToken: { id: endOfText, type_id } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special(endOfText), special(padding)],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [opening(0), sequence('A', 0)],
      pair: [opening(0), sequence('A', 0), opening(1), sequence('B', 1)],
      special_tokens: {
        [endOfText]: { id: endOfText, ids: [tokens.indexOf(endOfText)], tokens: [endOfText] },
      },
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map((pair) => pair.join(' ')),
    },
  };
};

const tokenizerConfig = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: endOfText,
  eos_token: endOfText,
  pad_token: padding,
  clean_up_tokenization_spaces: false,
  model_input_names: ['input_ids', 'attention_mask'],
};

const sets = {
  pretrainTrain: await read(pretrainTrain),
  pretrainHeldOut: await read(pretrainHeldOut),
  quickstartTrain: await read(quickstartTrain),
  quickstartHeldOut: await read(quickstartHeldOut),
};
// Held-out text must not shape the vocabulary that its loss is measured in.
const counts = countWords(sets.pretrainTrain.map(({ text }) => text));
for (const [word, count] of countWords(sets.quickstartTrain.map(({ text }) => text)))
  counts.set(word, (counts.get(word) ?? 0) + quickstartWeight * count);
const json = tokenizerJson(trainBytePairs(counts, vocabSize, [endOfText, padding]));

mkdirSync(packageFiles, { recursive: true });
writeFileSync(`${packageFiles}tokenizer.json`, `${JSON.stringify(json, null, 2)}\n`);
writeFileSync(`${packageFiles}tokenizer_config.json`, `${JSON.stringify(tokenizerConfig, null, 2)}\n`);

const tokenizer = loadTokenizer({ tokenizerJson: json, tokenizerConfig, modelVocabSize: vocabSize });
for (const [name, records] of Object.entries(sets)) {
  const { examples, report } = tokenizeRecords(records, tokenizer);
  const characters = records.reduce((sum, { text }) => sum + text.length, 0);
  const lengths = examples.map(({ ids }) => ids.length).sort((a, b) => a - b);
  const at = (share: number): number => lengths[Math.floor(share * (lengths.length - 1))]!;
  console.log(
    `${name}: ${report.examples} passages, ${report.tokens} tokens, ` +
      `${(report.tokens / characters).toFixed(4)} tokens a character; ` +
      `lengths ${at(0)} least, ${at(0.05)} 5%, ${at(0.5)} median, ${at(0.95)} 95%, ${at(1)} most`,
  );
}

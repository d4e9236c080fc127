export { type RenderedConversation, renderConversation } from './assistant-spans.ts';
export {
  type ChatTemplate,
  type ChatTemplateLimits,
  compileChatTemplate,
  type MarkedText,
  type Message,
  type RenderOptions,
} from './chat-template.ts';
export { chunkText } from './chunk-text.ts';
export { type Batch, type CollateOptions, collate, type Row } from './collate.ts';
export { type DataCursor, DataLoader, type DataLoaderOptions } from './data-loader.ts';
export { type EncodedSegments, encodeSegments, type Segment } from './encode-segments.ts';
export {
  ChatTemplateError,
  DataError,
  type DataLocation,
  TokenizerError,
  VocabularyError,
} from './errors.ts';
export { type Example, ignoreLabel, supervisedTokens } from './example.ts';
export { type GgufTokenizer, ggufTokenizer } from './gguf-tokenizer.ts';
export { joinDocuments } from './join-documents.ts';
export { type JsonlOptions, type JsonRow, readJsonl, readPlainText } from './jsonl.ts';
export {
  type LabelledText,
  type LabelledTextOptions,
  readLabelledTexts,
  tokenizeLabelledTexts,
} from './labelled-texts.ts';
export { type PackOptions, type PackStatistics, pack } from './pack.ts';
export { permutation } from './permutation.ts';
export {
  checkRecords,
  type DataFormat,
  type DataRecord,
  detectFormat,
  type MessagesRecord,
  type PromptCompletionRecord,
  type ReadRecordsOptions,
  type RecordSet,
  readRecords,
  type TextRecord,
} from './records.ts';
export type { DataSource } from './source-text.ts';
export { splitHeldOut } from './split-held-out.ts';
export {
  type TokenizeOptions,
  type TokenizeReport,
  tokenizeExamples,
  tokenizeRecords,
} from './tokenize-examples.ts';
export { type TokenizeSeq2SeqOptions, tokenizeSeq2Seq } from './tokenize-seq2seq.ts';
export { type LoadTokenizerOptions, loadTokenizer, type Tokenizer } from './tokenizer.ts';

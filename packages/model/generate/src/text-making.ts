import type { Runtime } from '@graftjs/compiler';
import type { CausalLM, Seq2SeqLM } from '@graftjs/models';
import { ContextLengthError } from './context-length-error.ts';
import { Seq2SeqSession, seq2seqFrontOf } from './seq2seq-session.ts';
import { bucket, frontOf, padded, Session, type TextSession } from './session.ts';

/** What a text needs. */
export interface Room {
  /** Texts with the same one can use each other's sessions. */
  readonly key: string;
  /** Tokens that the prompt is padded to. */
  readonly window: number;
  readonly open: () => TextSession;
}

/** The room for a prompt of so many tokens and so many new ones. @throws ContextLengthError */
export type TextMaking = (promptTokens: number, maxNewTokens: number) => Room;

/** Caches double, so that few are kept, and all of them take at most twice the memory of the largest. */
const capacityFor = (positions: number): number =>
  bucket * 2 ** Math.max(0, Math.ceil(Math.log2(positions / bucket)));

/** How a decoder makes texts: it goes on from the prompt. */
export function decoderTexts(runtime: Runtime, model: CausalLM): TextMaking {
  const front = frontOf(model);
  const { maxPositions } = model.config;
  return (promptTokens, maxNewTokens) => {
    const positions = front.positions + promptTokens + maxNewTokens;
    if (promptTokens === 0 || positions > maxPositions)
      throw new ContextLengthError(promptTokens, maxNewTokens, maxPositions, front.positions);
    const window = padded(promptTokens);
    const capacity = capacityFor(Math.max(positions, front.positions + window));
    return {
      key: `${capacity}`,
      window,
      open: () => new Session(runtime, model, capacity, front),
    };
  };
}

/** How an encoder-decoder makes texts: its encoder reads the prompt, and its decoder begins anew. */
export function encoderDecoderTexts(runtime: Runtime, model: Seq2SeqLM): TextMaking {
  const front = seq2seqFrontOf(model);
  return (promptTokens, maxNewTokens) => {
    if (promptTokens === 0) throw new ContextLengthError(0, maxNewTokens, model.config.maxPositions);
    const window = padded(promptTokens);
    const room = {
      source: capacityFor(front.encoder + window),
      target: capacityFor(front.decoder + 1 + maxNewTokens),
    };
    return {
      key: `${room.source} ${room.target}`,
      window,
      open: () => new Seq2SeqSession(runtime, model, room, front),
    };
  };
}

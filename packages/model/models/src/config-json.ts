import type { JsonObject } from '@graftjs/checkpoint';

/** A config.json that names no model we have, or a value that no model can have. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly key: string;

  constructor(key: string, problem: string) {
    super(`config.json, ${key}: ${problem}`);
    this.key = key;
  }
}

/** No model is larger or deeper; a number beyond is a damaged file. */
const mostOfAnything = 2 ** 24;
export const mostLayers = 1024;

/** A negative id, which old configs write, is none. */
export function tokenIds(json: JsonObject, key: string, fallback?: number): number[] {
  const value = json[key] === undefined ? fallback : json[key];
  const ids: unknown[] = value == null ? [] : [value].flat();
  if (!ids.every((id) => typeof id === 'number' && Number.isInteger(id)))
    throw new ConfigError(key, `${JSON.stringify(value)} is neither a token id nor a list of them`);
  return (ids as number[]).filter((id) => id >= 0);
}

export function flag(json: JsonObject, key: string, fallback = false): boolean {
  const value = json[key] ?? fallback;
  if (typeof value !== 'boolean')
    throw new ConfigError(key, `${JSON.stringify(value)} is neither true nor false`);
  return value;
}

export function count(json: JsonObject, key: string, fallback?: number, most = mostOfAnything): number {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > most)
    throw new ConfigError(
      key,
      value === undefined ? 'is missing' : `${shown(value)} is not a whole number from 1 to ${most}`,
    );
  return value;
}

export function positive(json: JsonObject, key: string, fallback?: number): number {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
    throw new ConfigError(
      key,
      value === undefined ? 'is missing' : `${shown(value)} is not a positive number`,
    );
  return value;
}

export function chance(json: JsonObject, key: string, fallback: number): number {
  const value = json[key] ?? fallback;
  if (!(typeof value === 'number' && value >= 0 && value <= 1))
    throw new ConfigError(key, `${shown(value)} is not a number from 0 to 1`);
  return value;
}

/** JSON has no NaN and would call it null. */
const shown = (value: unknown): string => (typeof value === 'number' ? `${value}` : JSON.stringify(value));

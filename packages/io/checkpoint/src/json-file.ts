import { JsonFileError } from './errors.ts';
import type { Folder } from './folder.ts';
import { JsonSyntaxError, parseStrictJson, positionAt } from './json.ts';

/** A JSON object whose values are not checked yet. */
export type JsonObject = Record<string, unknown>;

/**
 * The JSON object in a file of a folder.
 * @throws FileMissingError, FileReadError, JsonFileError (with line and column)
 */
export async function readJsonObject(folder: Folder, name: string, maxBytes?: number): Promise<JsonObject> {
  return parseJsonObject(`${folder.location}/${name}`, await folder.readText(name, maxBytes));
}

/** @throws JsonFileError */
export function parseJsonObject(file: string, text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new JsonFileError(file, ...locate(text, error));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new JsonFileError(file, 'the JSON is not an object');
  }
  return value as JsonObject;
}

/** Runtimes word and place the errors of `JSON.parse` differently; the strict reader always says where. */
function locate(text: string, error: unknown): [string, { line: number; column: number }?] {
  try {
    parseStrictJson(text, { duplicates: 'allow' });
  } catch (strict) {
    if (strict instanceof JsonSyntaxError) {
      return [`not valid JSON, ${strict.message}`, positionAt(text, strict.offset)];
    }
  }
  return [`not valid JSON (${error instanceof Error ? error.message.replaceAll('\n', ' ') : String(error)})`];
}

import type { Method } from '@graftjs/peft';
import { MethodCatalog } from '../methods/catalog.ts';
import { optionKeys } from '../methods/method-keys.ts';
import { type ConfigKey, configKeys, sectionNames } from './keys.ts';

const defaultOf = (key: ConfigKey): string => {
  if (key.defaultText !== undefined) return key.defaultText;
  return key.required ? '**required**' : `\`${key.defaultValue}\``;
};

/** The tables of the README: every key with type, default, flag, other names and one sentence. */
export async function documentConfig(): Promise<string> {
  const sections = ['', ...sectionNames].map((section) => {
    const rows = configKeys
      .filter((key) => key.section === section)
      .map((key) => {
        const also = key.aliases?.length ? ` Also: ${key.aliases.map((a) => `\`${a}\``).join(', ')}.` : '';
        const cells = [`\`${key.name}\``, key.expects, defaultOf(key), `\`--${key.flag}\``, key.about + also];
        return row(cells);
      });
    const title = section === '' ? 'Top level' : `\`${section}:\``;
    return [`#### ${title}`, '', '| key | value | default | flag | |', '|---|---|---|---|---|', ...rows].join(
      '\n',
    );
  });
  const lora = await new MethodCatalog().method('lora');
  return [...sections, documentMethod(lora)].join('\n\n');
}

/** The keys of one method; `graft methods NAME` gives those of any. */
function documentMethod(method: Method): string {
  const rows = optionKeys(method).map(({ name, option, field, flag, about, aliases }) => {
    const initial = JSON.stringify(method.defaults?.[option] ?? field.initial);
    const also = `Also: ${aliases.map((a) => `\`${a}\``).join(', ')}.`;
    return row([
      `\`${name}\``,
      field.expects,
      `\`${initial}\``,
      `\`--${flag}\``,
      [about, ...(aliases.length > 0 ? [also] : [])].filter(Boolean).join(' '),
    ]);
  });
  const title = `\`method:\` of type ${method.name}`;
  return [`#### ${title}`, '', '| key | value | default | flag | |', '|---|---|---|---|---|', ...rows].join(
    '\n',
  );
}

const row = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

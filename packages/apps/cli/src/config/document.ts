import { type ConfigKey, configKeys, sectionNames } from './keys.ts';

const defaultOf = (key: ConfigKey): string => {
  if (key.defaultText !== undefined) return key.defaultText;
  return key.required ? '**required**' : `\`${key.defaultValue}\``;
};

/** The tables of the README: every key with type, default, flag, other names and one sentence. */
export function documentConfig(): string {
  return ['', ...sectionNames]
    .map((section) => {
      const rows = configKeys
        .filter((key) => key.section === section)
        .map((key) => {
          const also = key.aliases?.length ? ` Also: ${key.aliases.map((a) => `\`${a}\``).join(', ')}.` : '';
          const cells = [
            `\`${key.name}\``,
            key.expects,
            defaultOf(key),
            `\`--${key.flag}\``,
            key.about + also,
          ];
          return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
        });
      const title = section === '' ? 'Top level' : `\`${section}:\``;
      return [
        `#### ${title}`,
        '',
        '| key | value | default | flag | |',
        '|---|---|---|---|---|',
        ...rows,
      ].join('\n');
    })
    .join('\n\n');
}

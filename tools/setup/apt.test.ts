import { expect, test } from 'vitest';
import { backportsSource } from './apt.mjs';

test('a backports entry copies the mirror, the key and the options of a deb822 entry', () => {
  const text = [
    'Types: deb',
    '# a comment',
    'URIs: http://mirror.example/security',
    'Suites: bookworm-security',
    'Components: main',
    '',
    'Types: deb deb-src',
    'URIs: http://mirror.example/debian',
    'Suites: bookworm bookworm-updates',
    'Components: main contrib',
    'Signed-By: /usr/share/keyrings/key.gpg',
    'Architectures: amd64',
  ].join('\n');
  expect(backportsSource('bookworm', [{ name: 'debian.sources', text }])).toEqual({
    name: 'graft-bookworm-backports.sources',
    text: [
      'Types: deb',
      'URIs: http://mirror.example/debian',
      'Suites: bookworm-backports',
      'Components: main',
      'Signed-By: /usr/share/keyrings/key.gpg',
      'Architectures: amd64',
      '',
    ].join('\n'),
  });
});

test('a backports entry copies the mirror and the options of a one-line entry', () => {
  const text = [
    '# deb http://old.example/debian bookworm main',
    'deb http://third.example/apt cloud-bookworm main',
    'deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm contrib main non-free',
  ].join('\n');
  expect(backportsSource('bookworm', [{ name: 'sources.list', text }])).toEqual({
    name: 'graft-bookworm-backports.list',
    text: 'deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm-backports main\n',
  });
});

test('without an entry for the release there is nothing to copy', () => {
  const text = 'deb http://mirror.example/debian trixie main\n';
  expect(backportsSource('bookworm', [{ name: 'sources.list', text }])).toBeUndefined();
});

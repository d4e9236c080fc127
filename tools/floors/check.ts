import { join, relative } from 'node:path';
import { importsOf, sourceFiles } from './imports.ts';
import { type Context, judgeFloors, judgeImport, sameFloor } from './rules.ts';
import { readRootTools, readWorkspaces, type Workspace } from './workspace.ts';

export interface Violation {
  /** Relative to the root. */
  readonly file: string;
  /** 1-based; 0 where the whole file is meant. */
  readonly line: number;
  readonly reason: string;
}

function checkManifest(from: Workspace, context: Context): string[] {
  return [...from.dependencies].flatMap((name) => {
    const to = context.workspaces.get(name);
    return (to && judgeFloors(from, to, context)) ?? [];
  });
}

/** Checks each import and each declared dependency of the packages under `root` against the floors. */
export function checkFloors(root: string): { violations: Violation[]; packages: number; files: number } {
  const workspaces = new Map(readWorkspaces(root).map((workspace) => [workspace.name, workspace]));
  const context: Context = { workspaces, tools: readRootTools(root), sameFloor };
  const violations: Violation[] = [];
  let files = 0;
  for (const from of workspaces.values()) {
    const manifest = relative(root, join(from.folder, 'package.json'));
    for (const reason of checkManifest(from, context)) violations.push({ file: manifest, line: 0, reason });
    for (const path of sourceFiles(from.folder)) {
      files++;
      for (const { specifier, line } of importsOf(path)) {
        const reason = judgeImport(from, path, specifier, context);
        if (reason) violations.push({ file: relative(root, path), line, reason });
      }
    }
  }
  return { violations, packages: workspaces.size, files };
}

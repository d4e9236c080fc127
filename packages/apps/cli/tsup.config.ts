import { library } from '../../../tsup.config.base.ts';

export default library({ entry: ['src/index.ts', 'src/bin.ts'], platform: 'node' });

import { library } from '../../../tsup.config.base.ts';

export default library({ entry: ['src/index.ts', 'src/node.ts'] });

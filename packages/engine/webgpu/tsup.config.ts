import { library } from '../../../tsup.config.base.ts';

export default library({ entry: ['src/node.ts', 'src/browser.ts'] });

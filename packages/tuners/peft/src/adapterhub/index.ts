export {
  type AdapterHubFiles,
  type AdapterHubForm,
  type AdapterHubModel,
  adapterHubFiles,
  readAdapterHub,
  withoutOwnKeys,
  writeAdapterHub,
} from './files.ts';

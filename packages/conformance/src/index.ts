export { describeProvider, type FakeAnswer, type FakeServer, type ProviderKit } from './provider.ts'
export { describeStore, type OpenedStore, type StoreSubject } from './store/index.ts'

export { describeHttpAdapter, type HttpAdapterHost, type HttpAdapterSetup } from './http-adapter.ts'
export { describeProvider, type FakeAnswer, type FakeServer, type ProviderKit } from './provider.ts'
export { describeStore, type OpenedStore, type StoreSubject } from './store/index.ts'

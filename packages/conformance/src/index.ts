export { describeHttpAdapter, type HttpAdapterHost, type HttpAdapterSetup } from './http-adapter.ts'
export { describeProvider, type FakeEnd, type FakeItem, type ProviderKit, type WireProtocol } from './provider.ts'
export { describeStore, type OpenedStore, type StoreSubject } from './store/index.ts'

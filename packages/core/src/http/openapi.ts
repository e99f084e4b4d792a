export {
  type OpenApiDocument,
  type OpenApiOperation,
  type OpenApiOptions,
  openapiOf,
} from './openapi/document.ts'
export { openapiSurface } from './openapi/pages.ts'

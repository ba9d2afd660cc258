// The same reference in node: a bare grpc-js server of the same messages, as the library's own guide writes it.
// argv: the ready answer in hex. Prints its port.
'use strict';
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const path = require('node:path');

const root = path.join(__dirname, '..', 'proto');
const file = 'issuernetwork/v1/enrichment.proto';
const options = { keepCase: true, longs: Number, enums: Number, includeDirs: [root] };
const service = loader.loadSync(file, options)['issuernetwork.v1.EnrichmentService'];
const method = service.EnrichAuthorization;
const answer = method.responseDeserialize(Buffer.from(process.argv[2], 'hex'));

const server = new grpc.Server();
server.addService(
  {
    Echo: {
      path: '/bench.Echo/Echo',
      requestStream: false,
      responseStream: false,
      requestDeserialize: method.requestDeserialize,
      requestSerialize: method.requestSerialize,
      responseDeserialize: method.responseDeserialize,
      responseSerialize: method.responseSerialize,
    },
  },
  { Echo: (call, callback) => callback(null, answer) },
);
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (fault, port) => {
  if (fault) throw fault;
  console.log(port);
});

// Records what Express answers for the laboratory's two programs, written here after their described behaviour:
//
//   npm install express@5 && node record.mjs > recorded.json
//
// Left out of the record: the date, what is about the connection, and of errors everything after the first line.
import express from 'express'
import net from 'node:net'

let published = null
let log = []
const lab = express().use(express.json())
lab.post('/', async (request, response) => {
  try {
    published = Buffer.from(JSON.stringify(request.body)).toString()
    response.status(204).send()
  } catch (error) {
    response.status(500).send(error)
  }
})
let down = false
const email = express().use(express.json())
email.post('/', async (request, response) => {
  const report = JSON.parse(Buffer.from(request.body.message.data, 'base64').toString())
  try {
    log.push(`Email Service: Report ${report.id} trying...`)
    if (down) throw 'Email server is down'
    log.push('Sending email')
    log.push(`Email Service: Report ${report.id} success :-)`)
    response.status(204).send()
  } catch (error) {
    log.push(`Email Service: Report ${report.id} failure: ${error}`)
    response.status(500).send()
  }
})

const JSON_TYPE = 'Content-Type: application/json\r\n'
const bytes = (text) => Buffer.from(text).toString('latin1')
const post = (headers, body, method = 'POST', path = '/') =>
  `${method} ${path} HTTP/1.1\r\nHost: lab\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${bytes(body)}`
const json = (body) => post(JSON_TYPE, body)
const bare = (method, path, headers = '') => `${method} ${path} HTTP/1.1\r\nHost: lab\r\n${headers}\r\n`
const data = (text) => JSON.stringify({ message: { data: Buffer.from(text).toString('base64'), messageId: '1' } })
const type = (text) => `Content-Type: ${text}\r\n`

const LAB = {
  'a report': json('{"id": 12}'),
  'no body': bare('POST', '/'),
  'no body, said to be JSON': bare('POST', '/', JSON_TYPE),
  'a body of no bytes': json(''),
  'a chunked body of no bytes': bare('POST', '/', `${JSON_TYPE}Transfer-Encoding: chunked\r\n`) + '0\r\n\r\n',
  'another content type': post(type('text/plain'), '{"id":1}'),
  'no content type': post('', '{"id":1}'),
  'a vendor content type': post(type('application/vnd.x+json'), '{"id":1}'),
  'a content type in capitals': post(type('Application/JSON'), '{"id":1}'),
  'a charset': post(type('application/json; charset=UTF-8'), '{"id":1}'),
  'another charset': post(type('application/json; charset=latin1'), '{"id":1}'),
  'an unknown encoding': post(`${JSON_TYPE}Content-Encoding: zstd\r\n`, '{"id":1}'),
  'cut JSON': json('{"id": 12'),
  'malformed JSON': json('{id: 12}'),
  'more than JSON': json('{"a":1}x'),
  'blanks': json('   '),
  'a number': json('5'),
  'a string': json('"abc"'),
  'null': json('null'),
  'an array of numbers': json('[1, 2.50, 1e3,1e21, 12345678901234567890, 0.0000001,-0, 0.1, -1.5e-7, 1e20]'),
  'numbers of all sizes': json(JSON.stringify(Array.from({ length: 90 }, (_, index) => Math.sin(index) * 10 ** (index - 45)))),
  'an object of all sorts': json('{"b":1,"2":2,"a":1.0,"1":null,"01":true,"b":"\\u00e9\\u007f\\/\\n\\u0001","c":{"10":[],"9":{}}}'),
  'a byte order mark': json('\ufeff{"id":1}'),
  'bytes that are no UTF-8': `POST / HTTP/1.1\r\nHost: lab\r\n${JSON_TYPE}Content-Length: 9\r\n\r\n{"a":"\xff"}`,
  'GET': bare('GET', '/'),
  'GET of another path': bare('GET', '/a%3Cb%3E%20\'&%zz?x=1'),
  'HEAD': bare('HEAD', '/'),
  'OPTIONS': bare('OPTIONS', '/'),
  'OPTIONS of another path': bare('OPTIONS', '/x'),
  'PUT': post(JSON_TYPE, '{}', 'PUT'),
  'PUT of a scalar': post(JSON_TYPE, '5', 'PUT'),
  'POST elsewhere': post(JSON_TYPE, '{"id":1}', 'POST', '/reports'),
  'POST with a query': post(JSON_TYPE, '{"id":1}', 'POST', '/?x=1'),
}
const EMAIL = {
  'a push': json(data('{"id":56}')),
  'a push of an id of letters': json(data('{"id":"p-56"}')),
  'no message': json('{}'),
  'no JSON': post('', '{}'),
  'an array': json('[]'),
  'a message that is null': json('{"message":null}'),
  'a message that is text': json('{"message":"x"}'),
  'no data': json('{"message":{}}'),
  'data that is a number': json('{"message":{"data":5}}'),
  'data that is null': json('{"message":{"data":null}}'),
  'data that is true': json('{"message":{"data":true}}'),
  'data that is an object': json('{"message":{"data":{}}}'),
  'data that is not base64': json('{"message":{"data":"!!!"}}'),
  'base64 with blanks': json('{"message":{"data":"eyJp\\nZCI6 NTZ9"}}'),
  'data that is not JSON': json(data('hello')),
  'empty data': json(data('')),
  'a report that is null': json(data('null')),
  'a report that is a number': json(data('5')),
  'a report without an id': json(data('{}')),
  'an id that is an object': json(data('{"id":{"a":1}}')),
  'an id that is an array': json(data('{"id":[1,[2,null],"x"]}')),
  'an id that is null': json(data('{"id":null}')),
  'an id that is a fraction': json(data('{"id":1.50}')),
  'malformed JSON': json('{id: 12}'),
  'GET': bare('GET', '/'),
  'GET of deliveries': bare('GET', '/deliveries'),
}

const ask = (port, raw) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1')
  let answer = ''
  socket.setEncoding('latin1').on('data', (chunk) => { answer += chunk })
  socket.on('close', () => resolve(answer))
  socket.write(raw, 'latin1')
  setTimeout(() => socket.end(), 150)
})
const recorded = []
const record = async (service, port, name, request) => {
  published = null
  log = []
  const answer = await ask(port, request)
  const [head, ...rest] = answer.split('\r\n\r\n')
  const [status, ...lines] = head.split('\r\n')
  const headers = {}
  for (const line of lines) {
    const [key, ...value] = line.split(': ')
    headers[key.toLowerCase()] = value.join(': ')
  }
  for (const key of ['date', 'connection', 'keep-alive']) delete headers[key]
  let body = rest.join('\r\n\r\n')
  if (body.includes('<br> &nbsp; &nbsp;at ')) {
    body = body.replace(/<br> &nbsp; &nbsp;at [^\n]*<\/pre>/, '</pre>')
    headers['content-length'] = String(body.length)
  }
  recorded.push({ service, name, request, status: Number(status.split(' ')[1]), headers, body, published, log })
}
console.error = () => {}
const servers = [lab.listen(0, '127.0.0.1'), email.listen(0, '127.0.0.1')]
await Promise.all(servers.map((server) => new Promise((resolve) => server.on('listening', resolve))))
const [labPort, emailPort] = servers.map((server) => server.address().port)
for (const [name, request] of Object.entries(LAB)) await record('lab-report', labPort, name, request)
for (const [name, request] of Object.entries(EMAIL)) await record('email', emailPort, name, request)
down = true
await record('email down', emailPort, 'a push', EMAIL['a push'])
console.log(`[\n${recorded.map((one) => JSON.stringify(one)).join(',\n')}\n]`)
process.exit(0)

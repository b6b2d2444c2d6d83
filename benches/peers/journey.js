// The journey of journey.yaml for k6: 64 virtual users, the same extraction and expectations.
import http from "k6/http";
import { check } from "k6";

const base = __ENV.BASE_URL;

export const options = { vus: 64, duration: __ENV.DURATION, discardResponseBodies: false };

export default function () {
  const list = http.get(`${base}/products`, { tags: { name: "list" } });
  if (!check(list, { "list 200": (r) => r.status === 200 })) return;
  const product = list.json("2.id");
  const price = list.json("2.price");

  const detail = http.get(`${base}/detail/${product}`, { tags: { name: "detail" } });
  if (!check(detail, { "detail 200": (r) => r.status === 200 && r.json("inventory_count") !== undefined })) return;

  const token = http.get(`${base}/token`, { tags: { name: "token" } });
  if (!check(token, { "token 200": (r) => r.status === 200 })) return;
  const headers = { "x-csrftoken": token.json("csrf_token"), "content-type": "application/json" };

  const cart = http.post(`${base}/cart`, JSON.stringify({ product, quantity: 1, price }), {
    headers,
    tags: { name: "cart" },
  });
  if (!check(cart, { "cart 200": (r) => r.status === 200 })) return;

  const email = `user-${Math.floor(Math.random() * 4294967296).toString(16)}@example.com`;
  const order = http.post(`${base}/order`, JSON.stringify({ cart: cart.json("cart"), email }), {
    headers,
    tags: { name: "order" },
  });
  check(order, { "order 201": (r) => r.status === 201 && r.json("order") !== undefined });
}

export function handleSummary(data) {
  const requests = data.metrics.http_reqs.values;
  return { stdout: JSON.stringify({ count: requests.count, rate: requests.rate }) + "\n" };
}

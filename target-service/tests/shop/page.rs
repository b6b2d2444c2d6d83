//! The page for people, in a real browser: a customer clicks from the product of the day to the check-out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::service::{Service, client, stock};
use serde_json::{Value, json};

fn find_browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "chromium is required, and is not installed");
        // Not by a macro: what those print is hidden unless the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: chromium is not installed");
    }
    found
}

/// Chromium without a window, spoken to over pipes.
struct Browser {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    /// What went wrong on the page.
    complaints: Vec<Value>,
}

impl Browser {
    fn start(chromium: &Path, folder: &Path) -> Self {
        // It reads from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "sh"])
            .arg(chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (requests, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut browser = Self { child, requests, answers, session: None, last: 0, complaints: Vec::new() };
        let target = browser.ask("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// The result of one of the protocol's methods. Events that tell of errors are kept.
    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let mut request = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        self.requests.write_all(format!("{request}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            assert_ne!(self.answers.read_until(0, &mut answer).unwrap(), 0, "the browser has ended");
            let answer: Value = serde_json::from_slice(&answer[..answer.len() - 1]).unwrap();
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            if answer["method"] == "Runtime.exceptionThrown" || answer["params"]["entry"]["level"] == "error" {
                self.complaints.push(answer["params"].clone());
            }
        }
    }

    /// Runs the body of an asynchronous function on the page.
    fn run(&mut self, body: &str) -> Value {
        let until = "const until = async what => { for (let looks = 0; looks < 600; looks += 1) { const found = what(); \
                     if (found) return found; await new Promise(done => setTimeout(done, 50)); } \
                     throw new Error(`never: ${what}, but ${document.body.innerText}`); }; \
                     const all = query => [...document.querySelectorAll(query)]; \
                     const text = query => document.querySelector(query)?.textContent; ";
        let expression = format!("(async () => {{ {until} {body} }})()");
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", &parameters);
        assert!(answer.get("exceptionDetails").is_none(), "{body}: {answer}");
        answer["result"]["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_person_can_click_through_what_the_scenario_does() {
    let Some(chromium) = find_browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]);
    let mut browser = Browser::start(&chromium, &folder.path().join("profile"));
    browser.ask("Page.navigate", &json!({"url": service.url("/")}));

    let today = "await until(() => text('h1') === '✨ Avocano 🥑' && text('main h3')); \
                 return [text('main h2'), text('main h3'), text('.price'), all('blockquote').length];";
    assert_eq!(browser.run(today), json!(["Today", "Sparkly Avocado", "$2.57", 5]));

    let products = "all('nav a')[1].click(); await until(() => all('.products li').length); \
                    return all('.products a').map(link => link.textContent);";
    assert_eq!(browser.run(products), json!(["Pineapple Bee", "Wooden Tiger", "Star Unicorn", "Sparkly Avocado"]));

    let product = "all('.products a')[2].click(); await until(() => text('main h3') === 'Star Unicorn'); \
                   text('#count'); document.querySelector('.add').click(); document.querySelector('.add').click(); \
                   return [text('#count'), text('#message')];";
    assert_eq!(browser.run(product), json!(["2", "Star Unicorn is in the cart."]));

    let cart = "all('nav a')[2].click(); await until(() => document.querySelector('form')); \
                return [all('tr').length, text('main p b')];";
    assert_eq!(browser.run(cart), json!([2, "$24.98"]));

    let refused = "document.querySelector('select').value = 'credit'; document.querySelector('#order').click(); \
                   return await until(() => text('#message'));";
    let refused = browser.run(refused);
    assert!(refused.as_str().unwrap().starts_with("Not sold (501): {\"status\": \"invalid_choice\""), "{refused}");
    assert_eq!(browser.complaints.len(), 1, "the browser tells of the 501 itself: {:?}", browser.complaints);

    let bought = "document.querySelector('select').value = 'collect'; document.querySelector('#order').click(); \
                  await until(() => text('#message').startsWith('Thank you')); return [text('#count'), text('main')];";
    assert_eq!(browser.run(bought), json!(["0", "CartThere is nothing in it."]));
    assert_eq!(stock(&client(), &service, 3).await, 69);

    // It is drawn, fits its window, and everything on it came from the shop itself.
    let fetched = "return [document.documentElement.scrollWidth <= innerWidth, \
                   performance.getEntriesByType('resource').filter(entry => !entry.name.startsWith(location.origin))];";
    assert_eq!(browser.run(fetched), json!([true, []]));
    assert_eq!(browser.complaints.len(), 1, "{:?}", browser.complaints);
    let picture = browser.ask("Page.captureScreenshot", &json!({}));
    assert!(picture["data"].as_str().unwrap().len() > 5_000, "a blank page is smaller");
}

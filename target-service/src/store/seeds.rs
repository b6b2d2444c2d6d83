//! The shop's first stock: four products, five testimonials each, one site configuration. Always the same, so that
//! two studies read the same pages.

use super::Value;

struct SeedProduct {
    name: &'static str,
    description: &'static str,
    price_cents: i64,
    discount_percent: i64,
    inventory_count: i64,
    active: bool,
    image: &'static str,
}

const PRODUCTS: [SeedProduct; 4] = [
    SeedProduct {
        name: "Pineapple Bee",
        description: "Half fruit, half bee, and busy all day. It hums when the sun shines on its leaves.",
        price_cents: 2500,
        discount_percent: 17,
        inventory_count: 27,
        active: false,
        image: "photos/1_image.png",
    },
    SeedProduct {
        name: "Wooden Tiger",
        description: "Carved from one piece, with stripes that follow the grain. Fierce on any shelf.",
        price_cents: 749,
        discount_percent: 0,
        inventory_count: 4,
        active: false,
        image: "photos/2_image.png",
    },
    SeedProduct {
        name: "Star Unicorn",
        description: "Keeps a small star at the tip of its horn. Best seen in a dark room.",
        price_cents: 1249,
        discount_percent: 0,
        inventory_count: 71,
        active: false,
        image: "photos/3_image.png",
    },
    SeedProduct {
        name: "Sparkly Avocado",
        description: "Never before has an avocado been as sparkly. Sure to be a star ingredient in your next salad.",
        price_cents: 299,
        discount_percent: 14,
        inventory_count: 42,
        active: true,
        image: "photos/4_image.png",
    },
];

/// (reviewer, location, rating, summary, description); each product has its five.
type SeedTestimonial = (&'static str, &'static str, i64, &'static str, &'static str);

const TESTIMONIALS: [[SeedTestimonial; 5]; 4] = [
    [
        ("Ines Calder", "Porto, Portugal", 5, "Hums like new", "Stands on my desk and hums until the evening."),
        ("Tomasz Wilk", "Gdynia, Poland", 4, "A good bee", "The leaves came a little bent but have since risen."),
        ("Amara Obi", "Enugu, Nigeria", 5, "My children love it", "They have named it and feed it every morning."),
        ("Lars Ekdal", "Bergen, Norway", 2, "Too loud for me", "Pretty, but it hums through the whole dinner."),
        ("Mei Sakura", "Kobe, Japan", 3, "Smaller than I thought", "Nice work, but it fits into one hand."),
    ],
    [
        ("Ravi Menon", "Kochi, India", 5, "Beautiful grain", "Every stripe is where the tree put it."),
        ("Clara Voss", "Graz, Austria", 4, "Guards the shelf", "No book has gone missing since it came."),
        ("Juan Paredes", "Arica, Chile", 3, "Needs some oil", "It was dry on arrival; a drop of oil cured it."),
        ("Nora Quinn", "Galway, Ireland", 5, "A fine present", "Bought for my brother, kept for myself."),
        ("Sami Laine", "Oulu, Finland", 1, "One ear missing", "The box was open and an ear had gone."),
    ],
    [
        ("Zoe Martin", "Lyon, France", 5, "It really shines", "A soft light, just enough to read the clock."),
        ("Kofi Mensah", "Tema, Ghana", 5, "Better than a lamp", "My daughter sleeps well since it stands there."),
        ("Elena Russo", "Bari, Italy", 4, "Lovely star", "The horn is a bit short, the star is perfect."),
        ("Ben Ortega", "Tucson, United States", 3, "Nice, but pale", "By day one hardly sees the star."),
        ("Hana Novak", "Brno, Czechia", 4, "Would buy again", "Arrived early and well packed."),
    ],
    [
        ("Olga Petrova", "Varna, Bulgaria", 5, "So sparkly", "Our guests talked of nothing but the salad."),
        ("Dan Hughes", "Cardiff, United Kingdom", 4, "Good on toast", "Sparkles on the plate and on the fork."),
        ("Yara Haddad", "Tripoli, Lebanon", 5, "A star indeed", "I now put one into every bowl."),
        ("Piet Bakker", "Delft, Netherlands", 2, "Glitter everywhere", "Tasty, but I find sparkles in the carpet."),
        ("Lucia Mora", "Cuenca, Ecuador", 3, "Ripe too early", "Eat it on the day it comes."),
    ],
];

/// The statements that fill empty tables, in the order that gives the seeds their keys.
pub(super) fn statements() -> Vec<(&'static str, Vec<Value>)> {
    let text = |text: &str| Value::Text(text.to_owned());
    let products = PRODUCTS.iter().map(|product| {
        let values = vec![
            text(product.name),
            text(product.description),
            Value::Integer(product.price_cents),
            Value::Boolean(product.active),
            Value::Integer(product.discount_percent),
            Value::Integer(product.inventory_count),
            text(product.image),
        ];
        (INSERT_PRODUCT, values)
    });
    let of_products = (1_i64..).zip(&TESTIMONIALS);
    let testimonials = of_products.flat_map(|(product, testimonials)| {
        testimonials.iter().map(move |(reviewer_name, reviewer_location, rating, summary, description)| {
            let values = vec![
                Value::Integer(product),
                text(reviewer_name),
                text(reviewer_location),
                Value::Integer(*rating),
                text(summary),
                text(description),
            ];
            (INSERT_TESTIMONIAL, values)
        })
    });
    products.chain(testimonials).chain([(INSERT_SITE_CONFIG, Vec::new())]).collect()
}

const INSERT_PRODUCT: &str = "INSERT INTO product (name, description, price_cents, active, discount_percent, inventory_count, image) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const INSERT_TESTIMONIAL: &str = "INSERT INTO testimonial (product_id, reviewer_name, reviewer_location, rating, summary, description) \
     VALUES ($1, $2, $3, $4, $5, $6)";
const INSERT_SITE_CONFIG: &str = "INSERT INTO site_config (active, color_primary, color_secondary, color_action, color_action_text, site_name, \
     site_name_font, site_name_color, base_font) VALUES (TRUE, '#B2B43F', '#865B53', '#FFD64F', '#000000', \
     'Avocano', 'Indie Flower', '#767E46', 'Merriweather')";

from facade.page.languages.english import ENGLISH

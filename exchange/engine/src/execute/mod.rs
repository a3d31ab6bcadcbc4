mod account;
